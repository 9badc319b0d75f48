package quota

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"time"

	"hedgerow/internal/durable"
)

// FileName is the name of the file in the state directory.
const FileName = "quota"

// A file is its header and records. A record is
//
//	scope u8 | month u16 | key 32 | used u64 | CRC-32C u32 of all before
//
// with numbers in network byte order. Of several with one key the last counts.
const (
	fileHeader = "hedgerow quota 1\n"
	recordLen  = 1 + 2 + len(key{}) + 8 + 4
)

const (
	// maxFile bounds a file that is read, in bytes.
	maxFile = 256 << 20
	// mostAccounts is how many accounts a scope of them has at most, whatever the limits of
	// the supernode are: a file of all of them is written anew when it has twice as many
	// records, and no file is larger than what is read.
	mostAccounts = (maxFile/recordLen/2 - slack) / 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is an account as it is written.
type record struct {
	scope Scope
	month uint16
	key   key
	used  uint64
}

func (a *account) record() record { return record{a.scope, a.month, a.key, a.used} }

// append appends the record as it stands in a file.
func (r *record) append(b []byte) []byte {
	from := len(b)
	b = append(b, byte(r.scope))
	b = binary.BigEndian.AppendUint16(b, r.month)
	b = append(b, r.key[:]...)
	b = binary.BigEndian.AppendUint64(b, r.used)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// parseRecord reads what append wrote.
func parseRecord(b []byte) (r record, ok bool) {
	body := b[:recordLen-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) || b[0] >= byte(scopes) {
		return r, false
	}
	return record{Scope(b[0]), binary.BigEndian.Uint16(b[1:]), key(b[3:35]), binary.BigEndian.Uint64(b[35:])}, true
}

// parse calls f for each record of a file that can be read. What a sudden end has left of
// the last record is no damage, but nothing can be appended to it: the file is torn. The
// error wraps durable.ErrDamaged.
func parse(b []byte, f func(record)) (torn bool, err error) {
	if len(b) < len(fileHeader) || string(b[:len(fileHeader)]) != fileHeader {
		return false, fmt.Errorf("%w: its beginning is damaged", durable.ErrDamaged)
	}
	bad, all, last := 0, 0, true
	for rest := b[len(fileHeader):]; len(rest) >= recordLen; rest = rest[recordLen:] {
		var r record
		if r, last = parseRecord(rest); last {
			f(r)
		} else {
			bad++
		}
		all++
	}
	if !last {
		bad--
	}
	if bad > 0 {
		return false, fmt.Errorf("%w: %d of %d records in it are damaged", durable.ErrDamaged, bad, all)
	}
	return !last || (len(b)-len(fileHeader))%recordLen != 0, nil
}

// Read returns the file of a state directory that nobody uses, without what is damaged in it;
// nil: there is none.
func Read(dir string) ([]byte, error) {
	b, err := durable.Read(filepath.Join(dir, FileName), maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil && !errors.Is(err, durable.ErrDamaged):
		return nil, err
	}
	whole := []byte(fileHeader)
	_, _ = parse(b, func(r record) { whole = r.append(whole) })
	return whole, nil
}

// Check looks at the content of a file; nil is one without records.
func Check(content []byte) error {
	if content == nil {
		return nil
	}
	_, err := parse(content, func(record) {})
	return err
}

// load enters what a file holds of the month of the table, or, while the clock is behind what
// was written, of the last month in the file. The error wraps durable.ErrDamaged.
func (t *Table) load(b []byte, now time.Time) error {
	var newest uint16
	_, _ = parse(b, func(r record) { newest = max(newest, r.month) })
	if newest > t.month.number {
		t.begin(numbered(newest))
		t.settled = now.Add(settling)
	}
	torn, err := parse(b, func(r record) {
		switch {
		case r.month != t.month.number:
		case r.scope == All:
			t.all.used = r.used
		default:
			t.account(r.scope, r.key).used = r.used
		}
	})
	t.anew = torn || err != nil
	return err
}
