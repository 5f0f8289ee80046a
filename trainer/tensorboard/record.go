package tensorboard

import (
	"encoding/binary"
	"hash/crc32"
)

// A record is the length of its data as 8 bytes, their checksum as 4 bytes, the data,
// and the data's checksum. Numbers are little-endian.
const (
	headerBytes   = 12
	checksumBytes = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the CRC-32C of data, rotated and offset, so that the checksum of
// data that contain their checksum is not a constant.
func checksum(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// appendRecord appends the record of data to b.
func appendRecord(b, data []byte) []byte {
	header := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = append(b, header...)
	b = binary.LittleEndian.AppendUint32(b, checksum(header))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, checksum(data))
}

// nextRecord returns the first record in b, and the data in it. ok is false if b begins
// with no whole record.
func nextRecord(b []byte) (data, record []byte, ok bool) {
	if len(b) < headerBytes || checksum(b[:8]) != binary.LittleEndian.Uint32(b[8:]) {
		return nil, nil, false
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(len(b)) || uint64(len(b)) < headerBytes+n+checksumBytes {
		return nil, nil, false
	}
	record = b[:headerBytes+n+checksumBytes]
	data = record[headerBytes:][:n]
	return data, record, checksum(data) == binary.LittleEndian.Uint32(record[headerBytes+n:])
}
