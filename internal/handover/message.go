package handover

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// version is the version of the messages. Both ends have to be of one.
const version = 1

// The kinds of messages.
const (
	kindReady  = 1 // version u16 | the release of the program
	kindState  = 2
	kindTaken  = 3
	kindFailed = 4 // a sentence
)

const (
	headerLen = 5
	// textMost bounds a message that is not the state, stateMost the state: 131 072
	// registrations with two sessions each need about half of it.
	textMost  = 4 << 10
	stateMost = 1 << 30
)

var (
	errMessage = errors.New("it does not speak as a successor does")
	errLong    = fmt.Errorf("%w: a message is too long", errMessage)
)

// send writes a message.
func send(w io.Writer, kind uint8, body []byte) error {
	if len(body) > stateMost {
		return errLong
	}
	header := make([]byte, headerLen, headerLen+min(len(body), textMost))
	header[0] = kind
	binary.BigEndian.PutUint32(header[1:], uint32(len(body)))
	if len(body) <= textMost { // in one piece: it is there whole or not at all
		_, err := w.Write(append(header, body...))
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// receive reads a message. What it claims to be long makes nobody ask for memory before
// it is there.
func receive(r io.Reader) (kind uint8, body []byte, err error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	kind, n := header[0], binary.BigEndian.Uint32(header[1:])
	if n > stateMost || kind != kindState && n > textMost {
		return 0, nil, errLong
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return 0, nil, err
	}
	return kind, b.Bytes(), nil
}
