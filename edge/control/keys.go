package control

import (
	"encoding/json"
	"fmt"
	"time"
)

// Keys is the state of a community's key schedule, as GET /api/v1/keys
// returns it. It holds times and indices and never any key.
type Keys struct {
	// Community is the name of the community.
	Community string `json:"community"`
	// Source says where the keys come from: "passphrase", "file", "exec" or
	// "none" (no encryption).
	Source string `json:"source,omitempty"`
	// Active is the index of the epoch used for sending, or nil when the
	// schedule has ended and its policy is to fail.
	Active *uint8 `json:"active"`
	// Acceptable lists the indices that are opened when they arrive.
	Acceptable Indices `json:"acceptable"`
	// Next is the time of the next roll, or nil when there is none.
	Next *time.Time `json:"next,omitempty"`
	// Ends is the end of the last epoch, or nil for a schedule without one.
	Ends *time.Time `json:"ends,omitempty"`
	// Warning is a sentence about a schedule that ends soon or has ended, or
	// about a wrong clock; otherwise it is empty.
	Warning string `json:"warning,omitempty"`
	// Epochs are all epochs of the schedule in the order of their index.
	Epochs []Epoch `json:"epochs"`
}

// Epoch is one entry of a key schedule, without its key.
type Epoch struct {
	// Index is the key index, 0 to 254.
	Index uint8 `json:"index"`
	// From and Until bound the time in which the epoch is used for sending;
	// nil means unbounded.
	From  *time.Time `json:"from,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	// Transform is "auto", "aes-256-gcm" or "chacha20-poly1305".
	Transform string `json:"transform"`
}

// Indices is a list of key indices. In JSON it is a list of numbers, where a
// plain []uint8 would be base64.
type Indices []uint8

// MarshalJSON writes the list; none is [].
func (x Indices) MarshalJSON() ([]byte, error) {
	list := make([]int, len(x))
	for i, index := range x {
		list[i] = int(index)
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads the list; an index outside 0 to 255 is an error.
func (x *Indices) UnmarshalJSON(b []byte) error {
	var list []int
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*x = make(Indices, len(list))
	for i, index := range list {
		if index < 0 || index > 255 {
			return fmt.Errorf("%d is no key index", index)
		}
		(*x)[i] = uint8(index)
	}
	return nil
}
