package bridge

import "fmt"

// Size bounds a forwarding database. Its memory is that of the entries that there are:
// EntryBytes for each.
type Size struct {
	All    int // entries of stations behind other edges
	Behind int // entries behind one edge, and as many of stations on our own side
}

// EntryBytes is about what one entry takes in memory, the empty places of the table
// among them.
const EntryBytes = 96

// DefaultSize is that of a database for LANs as a school has them: 8192 stations
// behind one edge, 3 MiB when every entry is taken.
var DefaultSize = Size{All: 4 * 8192, Behind: 8192}

// Limits of Size. The upper one is 96 MiB.
const (
	MinSize = 16
	MaxSize = 1 << 20
)

// Check returns an error that says what of a size is not possible.
func (s Size) Check() error {
	switch {
	case s.All < MinSize || s.All > MaxSize:
		return fmt.Errorf("%d entries of a forwarding database are outside %d to %d", s.All, MinSize, MaxSize)
	case s.Behind < MinSize || s.Behind > s.All:
		return fmt.Errorf("%d entries behind one edge are outside %d to %d, which are those in all", s.Behind, MinSize, s.All)
	}
	return nil
}
