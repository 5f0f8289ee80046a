//go:build ignore

// Command generate extracts the files in testdata from the whole dataset.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"log"
	"os"
	"path/filepath"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

func main() {
	loc, err := dataset.Find(dataset.Search{Dir: os.Getenv("FMNIST_DATA"), Source: "$FMNIST_DATA", Cache: dataset.DefaultCacheDir()})
	if err != nil {
		log.Fatal(err)
	}
	d, err := dataset.Load(loc)
	if err != nil {
		log.Fatal(err)
	}
	write("train", d.Train, 1280)
	write("t10k", d.Test, 200)
}

// write stores the first n images and labels of s.
func write(part string, s dataset.Split, n int) {
	writeIDX(part+"-images-idx3-ubyte.gz", s.Images[:n*s.Len()], n, s.H, s.W)
	writeIDX(part+"-labels-idx1-ubyte.gz", s.Labels[:n], n)
}

func writeIDX(name string, data []byte, shape ...int) {
	header := []byte{0, 0, 8, byte(len(shape))}
	for _, extent := range shape {
		header = binary.BigEndian.AppendUint32(header, uint32(extent))
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		log.Fatal(err)
	}
	for _, part := range [][]byte{header, data} {
		if _, err := w.Write(part); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), packed.Bytes(), 0o666); err != nil {
		log.Fatal(err)
	}
}
