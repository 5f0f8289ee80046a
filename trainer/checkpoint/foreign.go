package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"strings"
)

// Users name files that are not checkpoints, or checkpoints of other programs. This
// file recognises them, so that the error can say what to do.

// Remedies for several kinds of file.
const (
	downloadAgain = "; download the file itself"
	unpackFirst   = "; unpack it and name the .pth or .safetensors file in it"
	fromOther     = "; load it with the library that wrote it and save the weights as .safetensors, named as in PyTorch"
)

// signatures are the bytes with which files of other formats begin.
var signatures = []struct{ magic, what string }{
	{"version https://git-lfs.github.com/", "a Git LFS pointer, not the file it stands for; fetch it with `git lfs pull`"},
	{"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes" + fromOther},
	{"GGUF", "a GGUF file, as llama.cpp uses" + fromOther},
	{"\x93NUMPY", "a NumPy array (.npy)" + fromOther},
	{"\x1f\x8b", "gzip-compressed" + unpackFirst},
	{"BZh", "bzip2-compressed" + unpackFirst},
	{"\xfd7zXZ\x00", "xz-compressed" + unpackFirst},
	{"\x28\xb5\x2f\xfd", "zstd-compressed" + unpackFirst},
	{"7z\xbc\xaf\x27\x1c", "a 7-Zip archive" + unpackFirst},
	{"Rar!\x1a\x07", "a RAR archive" + unpackFirst},
	{"PK\x05\x06", "an empty zip archive" + downloadAgain},
	{"\x89PNG", "a picture" + downloadAgain},
	{"\xff\xd8\xff", "a picture" + downloadAgain},
	{"%PDF", "a PDF document" + downloadAgain},
}

// legacyMagic is the number at the start of a PyTorch file in the older format: the
// pickle instruction LONG1 and 10 bytes.
const legacyMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"

// foreign says what a file is that is neither a zip archive nor safetensors, and what
// to do. It returns "" for a file that may be safetensors.
func foreign(b []byte) string {
	if len(b) >= 8 && binary.LittleEndian.Uint64(b) <= maxHeader && (len(b) == 8 || b[8] == '{') {
		return "" // first, because the length may have the bytes of another format's signature
	}
	start := strings.ToLower(strings.TrimSpace(strings.TrimPrefix(string(b[:min(len(b), 512)]), "\ufeff")))
	switch {
	case isPickle(b) && bytes.Contains(b[:min(len(b), 64)], []byte(legacyMagic)):
		return "PyTorch's older format (from before 1.6, or from _use_new_zipfile_serialization=False); " +
			"in PyTorch 1.6 or newer run torch.save(torch.load(FILE, map_location=\"cpu\"), NEW)"
	case isPickle(b):
		return "a Python pickle that torch.save did not write; load it in Python and save the weights with torch.save"
	case len(b) > 262 && string(b[257:262]) == "ustar":
		return "a tar archive" + unpackFirst
	case strings.HasPrefix(start, "<"):
		return "a web page (it begins with " + beginning(b) + "), perhaps a login or error page" + downloadAgain
	case strings.HasPrefix(start, "{"), strings.HasPrefix(start, "["):
		return "JSON text, not tensors; name the .safetensors or .pth file that belongs to it"
	case len(b) > 8 && string(b[4:8]) == "TFL3":
		return "a TensorFlow Lite model" + fromOther
	case isONNX(b):
		return "an ONNX model; its weights are not read here: save the state_dict of the PyTorch model it came from"
	}
	for _, s := range signatures {
		if bytes.HasPrefix(b, []byte(s.magic)) {
			return s.what
		}
	}
	if len(b) < 8 {
		return fmt.Sprintf("cut short: %d bytes; copy or download it again", len(b))
	}
	return fmt.Sprintf("neither a safetensors nor a PyTorch file: it begins with %s", beginning(b))
}

// isPickle reports whether a file begins with a pickle's PROTO instruction.
func isPickle(b []byte) bool { return len(b) >= 2 && b[0] == 0x80 && b[1] <= 5 }

// isONNX reports whether a file begins like a protocol buffer of ONNX's ModelProto:
// with the format version, 1 to 99, and the producer's name or the graph.
func isONNX(b []byte) bool {
	return len(b) > 4 && b[0] == 0x08 && b[1] > 0 && b[1] < 100 && (b[2] == 0x12 || b[2] == 0x3a)
}

// beginning quotes a file's first bytes.
func beginning(b []byte) string {
	return fmt.Sprintf("%.40q", b[:min(len(b), 24)])
}

// foreignArchive says what a zip archive is that torch.save did not write, and what to
// do. It returns "" for an archive that torch.save may have written.
func foreignArchive(entries []*zip.File) string {
	has := map[string]bool{}
	inside := ""
	for _, e := range entries {
		_, inner, _ := strings.Cut(e.Name, "/")
		has[path.Clean(inner)], has[path.Base(e.Name)] = true, true
		switch ext := path.Ext(e.Name); ext {
		case ".npy", ".h5", ".pth", ".pt", ".safetensors", ".ckpt", ".bin":
			if inside == "" {
				inside = e.Name
			}
		}
	}
	switch {
	case has["data.pkl"] && has["constants.pkl"]:
		return "a TorchScript archive, whose code is not run here; save its weights with torch.save(torch.jit.load(FILE).state_dict(), NEW)"
	case has["data.pkl"]:
		return ""
	case has["serialized_exported_program.json"], has["archive_format"]:
		return "an archive from torch.export; save its weights with torch.save(torch.export.load(FILE).state_dict, NEW)"
	case strings.HasSuffix(inside, ".npy"):
		return "an archive of NumPy arrays (.npz)" + fromOther
	case strings.HasSuffix(inside, ".h5"):
		return "a Keras model" + fromOther
	case inside != "":
		return fmt.Sprintf("a zip archive that contains %s; unpack it and name that file", inside)
	}
	return "a zip archive, but not from torch.save: it has no data.pkl"
}
