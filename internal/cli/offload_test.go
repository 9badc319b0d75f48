package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestOffloads(t *testing.T) {
	for list, want := range map[string][]string{
		"gso=off": {"gso"}, "gso=off, gro=off": {"gso", "gro"}, "gso=on,gro=off": {"gro"}, "gro=on": nil,
	} {
		if got, err := Offloads(list, "gso", "gro"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", list, got, err)
		}
	}
	for list, want := range map[string]string{
		"": `not ""`, "tso=off": `knows gso, gro, not "tso": write --offload gso=off`, "gso": `gso is on or off, not ""`,
		"gso=0": `not "0"`, "gso=off,": `not ""`,
	} {
		if got, err := Offloads(list, "gso", "gro"); err == nil || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%s: %v, %v", list, got, err)
		}
	}
}
