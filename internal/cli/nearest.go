package cli

import "strings"

// maxTypos is the largest distance at which a word still counts as a slip of
// the fingers rather than another word.
const maxTypos = 2

// Nearest returns the word of known that arg most likely was meant to be: the
// one with the fewest single-letter edits, at most two and fewer than half of
// its letters, or else the only one that begins with arg.
func Nearest(arg string, known []string) (word string, ok bool) {
	best := maxTypos + 1
	for _, k := range known {
		if d := edits(strings.ToLower(arg), strings.ToLower(k)); d < best && 2*d < len(k) {
			best, word = d, k
		}
	}
	if word != "" {
		return word, true
	}
	for _, k := range known {
		if len(arg) >= 2 && strings.HasPrefix(k, arg) {
			if word != "" {
				return "", false
			}
			word = k
		}
	}
	return word, word != ""
}

// edits is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbours. The words are options and
// sub-commands, so the quadratic table stays small; a longer argument is no
// slip anyway.
func edits(a, b string) int {
	const longest = 32
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var d [longest + 1][longest + 1]int
	for i := range len(a) + 1 {
		d[i][0] = i
	}
	for j := range len(b) + 1 {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
