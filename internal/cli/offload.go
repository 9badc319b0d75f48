package cli

import (
	"fmt"
	"slices"
	"strings"
)

// Offloads reads the list of an option --offload, such as "gso=off,gro=off", and
// returns the names that are off. It knows those in known; on, the default, may be
// written as well.
func Offloads(list string, known ...string) (off []string, err error) {
	for item := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		switch {
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("--offload knows %s, not %q: write --offload %s=off", strings.Join(known, ", "), name, known[0])
		case value == "off":
			off = append(off, name)
		case value != "on":
			return nil, fmt.Errorf("--offload %s: %s is on or off, not %q", list, name, value)
		}
	}
	return off, nil
}
