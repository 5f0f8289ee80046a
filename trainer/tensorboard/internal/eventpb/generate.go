// Package eventpb holds the messages of TensorBoard's event files.
package eventpb

// Needs protoc with Google's well-known types (Debian: protobuf-compiler,
// libprotobuf-dev).
//go:generate sh -c "protoc --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --go_out=. --go_opt=paths=source_relative event.proto"
