package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// KeyLen is the length of a key in bytes.
const KeyLen = 22

// Key is what a record is kept under.
type Key [KeyLen]byte

// A slot is
//
//	number u64 | boot u64 | key 22 | length u16 (65535: nothing is kept under the key) |
//	record, and zeros behind it | CRC-32C u32 of all before
//
// with numbers in network byte order. A slot with the key of zeros holds the boot alone.
const (
	slotBoot   = 8
	slotKey    = 16
	slotLen    = slotKey + KeyLen
	slotRecord = slotLen + 2
	slotSum    = 4

	gone = 1<<16 - 1
)

// header begins each file. The rest of its 16 bytes is the length of the slots, so that a
// program with longer records can read it.
const (
	header    = "hedgerow log"
	headerLen = len(header) + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// slot is one entry of a file.
type slot struct {
	number, boot uint64
	key          Key
	record       []byte // nil: nothing is kept under the key
}

// size returns the length of slots for records of up to n bytes.
func size(n int) int { return slotRecord + n + slotSum }

// appendSlot appends a slot of size bytes. The record fits.
func appendSlot(b []byte, s *slot, size int) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, s.number)
	b = binary.BigEndian.AppendUint64(b, s.boot)
	b = append(b, s.key[:]...)
	length := uint16(gone)
	if s.record != nil {
		length = uint16(len(s.record))
	}
	b = binary.BigEndian.AppendUint16(b, length)
	b = append(b, s.record...)
	b = append(b, make([]byte, start+size-slotSum-len(b))...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseSlot reads a slot. The record lies in b. ok is false if the slot is damaged.
func parseSlot(b []byte) (s slot, ok bool) {
	body := b[:len(b)-slotSum]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return slot{}, false
	}
	s.number, s.boot = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[slotBoot:])
	s.key = Key(b[slotKey:])
	if n := int(binary.BigEndian.Uint16(b[slotLen:])); n != gone {
		if n > len(body)-slotRecord {
			return slot{}, false
		}
		s.record = body[slotRecord : slotRecord+n : slotRecord+n]
	}
	return s, true
}

// appendHeader appends the header of a file with slots of size bytes.
func appendHeader(b []byte, size int) []byte {
	return binary.BigEndian.AppendUint32(append(b, header...), uint32(size))
}

// parseHeader returns the length of the slots of a file. ok is false if it is damaged.
func parseHeader(b []byte) (size int, ok bool) {
	text, length := b[:len(header)], binary.BigEndian.Uint32(b[len(header):])
	if string(text) != header || length < slotRecord+slotSum || length > slotRecord+gone+slotSum {
		return 0, false
	}
	return int(length), true
}
