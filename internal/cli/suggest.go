package cli

import (
	"strings"

	"github.com/xrash/smetrics"
)

// The parameters by which urfave/cli compares words (its suggestions.go), and how
// alike two words must be before one counts as a slip of the fingers for the other.
const (
	boostThreshold = 0.7
	prefixSize     = 4
	alike          = 0.85
)

// Suggest returns the word of known that most resembles arg, by the measure of
// urfave/cli. The hooks of the library itself return the nearest word however far it
// is, hidden options among them, so that any file name would be taken for "help".
func Suggest(arg string, known []string) (word string, ok bool) {
	best := alike
	for _, k := range known {
		if s := smetrics.JaroWinkler(strings.ToLower(arg), k, boostThreshold, prefixSize); s > best {
			best, word = s, k
		}
	}
	return word, word != ""
}
