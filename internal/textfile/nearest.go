package textfile

import "strings"

// nearestMost is how many bytes of a word are looked at.
const nearestMost = 64

// NearestWord returns the word among known that takes the fewest changes of single
// letters to become the one that was read: the first of them where there are several, and
// "" where there is none.
func NearestWord(read string, known []string) string {
	read = strings.ToLower(read)
	read = read[:min(len(read), nearestMost)]
	best, fewest := "", 0
	for i, w := range known {
		if d := editDistance(read, w); i == 0 || d < fewest {
			best, fewest = w, d
		}
	}
	return best
}

// editDistance counts the single letters to insert, remove or replace to turn a
// into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
