// Package onnxpb is the ONNX schema in Go: onnx.proto of release 1.23.2 of
// https://github.com/onnx/onnx (see LICENSE), unchanged, as the PyPI package
// onnx ships it, compiled by protoc and protoc-gen-go.
//
// Protobuf registers the names of messages for the whole program. One that also links
// another package of this schema must be started with
// GOLANG_PROTOBUF_REGISTRATION_CONFLICT=warn.
package onnxpb

// protoc is Debian's protobuf-compiler; go.mod pins protoc-gen-go. The schema
// names no Go package, so an option does.
//go:generate sh -c "protoc --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --go_out=. --go_opt=paths=source_relative --go_opt='Monnx.proto=github.com/fmnist-gpu/fmnist-gpu/trainer/export/internal/onnxpb;onnxpb' onnx.proto"
