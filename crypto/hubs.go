package crypto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxHubs is how many hubs a community can have.
const MaxHubs = 64

// ErrOpenHubs refuses hubs where nobody can prove to be one.
var ErrOpenHubs = errors.New("a community without encryption has no hubs: anybody could be one. Take the hubs away, or --insecure-no-encryption")

// ParseHubs reads the identities of hubs, as 'edge identity' shows them whole: 64
// hexadecimal digits each, with spaces or commas between them. The short form will not do:
// whoever wants to be a hub would try keys until one begins so. The result is in order.
func ParseHubs(s string) ([][32]byte, error) {
	var hubs [][32]byte
	for _, text := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		id, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err != nil || len(id) != 32 {
			return nil, fmt.Errorf("%s is no identity of a hub: write its 64 hexadecimal digits, which 'edge identity' shows on the hub", quoteShort(text))
		}
		hubs = append(hubs, [32]byte(id))
	}
	if len(hubs) == 0 {
		return nil, errors.New("no hub is named: write the identity of one, 64 hexadecimal digits, which 'edge identity' shows on the hub")
	}
	slices.SortFunc(hubs, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	if err := checkHubs(hubs); err != nil {
		return nil, err
	}
	return hubs, nil
}

// checkHubs reports a fault of a list of hubs in order.
func checkHubs(hubs [][32]byte) error {
	if len(hubs) > MaxHubs {
		return fmt.Errorf("%d hubs are more than the %d that a community can have", len(hubs), MaxHubs)
	}
	for i, id := range hubs {
		switch {
		case !UsableID(id):
			return fmt.Errorf("%s is an identity that no edge can have: copy that of the hub again, whole", ShortID(id[:]))
		case i > 0 && id == hubs[i-1]:
			return fmt.Errorf("the hub %s is there twice: take one of the two away", ShortID(id[:]))
		}
	}
	return nil
}

// EncodeHubs writes what ParseHubs reads.
func EncodeHubs(hubs [][32]byte) string {
	var b strings.Builder
	for i, id := range hubs {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(hex.EncodeToString(id[:]))
	}
	return b.String()
}
