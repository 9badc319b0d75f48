package crypto

import (
	"math"
	"slices"
	"strings"
	"unicode"
)

// Bits of guessing that one piece of a passphrase is worth. An attacker tries
// words and habits before letters, so a letter inside something that can be
// pronounced counts for what it adds to a word (a list of 20 000 words of six
// letters is 14.3 bits, 2.4 a letter), not for one of 26.
const (
	bitsWordLetter = 2.4  // a letter of something like a word
	bitsLetter     = 4.7  // log2(26)
	bitsMixed      = 5.7  // log2(52): a letter where the case changes anyhow
	bitsDigit      = 3.32 // log2(10)
	bitsSymbol     = 5    // log2(32), ASCII punctuation
	bitsSpace      = 1    // a space, mostly between words
	bitsLookalike  = 1    // a digit or sign in place of the letter it looks like
	bitsForeign    = 6    // a letter of another alphabet
	bitsRepeat     = 0.5  // a character that repeats or continues a series
	bitsCommon     = 5    // being one of the passwords that are tried first
	bitsCapital    = 1    // a capital where people put one
)

// commonPasswords are tried before anything else, in lower case and with
// letters for the digits that look like them. "encryptme" stands in n2n's
// manual.
const commonPasswords = " password passwort passw0rd secret geheim admin administrator root toor guest user test testing " +
	"welcome login letmein changeme default master qwerty qwertz azerty asdfgh asdf zxcvbn iloveyou love " +
	"dragon monkey football baseball princess sunshine shadow superman batman starwars trustno internet " +
	"computer network mynetwork community edge supernode vpn ntop n2n encryptme mysecret mykey key hedgerow private abc x y "

// series are rows and columns of keyboards that fingers follow; a character next to
// its forerunner in one of them adds next to nothing.
var series = [...]string{
	"qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm", "azertyuiop",
	"1q2w3e4r5t6y7u8i9o0p", "1q2w3e4r5t6z7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "q1w2e3r4t5z6u7i8o9p0",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1qay2wsx3edc4rfv5tgb6zhn7ujm8ik9ol0p", "qawsedrftgyhujikolp", "qawsedrftgzhujikolp",
}

// mostJudged is how many characters of a passphrase are looked at: a key file may
// hold a million of them, and no judgement needs more than these.
const mostJudged = 1000

// PassphraseBits estimates how many bits of guessing a passphrase withstands,
// for a warning. It looks at length, character classes, words, repeats, rows of
// the keyboard and a short list of common passwords, and it cannot know how the
// passphrase was chosen, so it leans to the low side: by a quarter for a random
// string, more for a word that is in no list. Each bit doubles the number of
// guesses, of which one costs about 160 ms.
func PassphraseBits(pass string) float64 {
	text := []rune(pass)
	if len(text) > mostJudged {
		text = text[:mostJudged]
	}
	if len(text) == 0 {
		return 0
	}
	// Said several times over, it is worth one saying and the number of times.
	if p := period(text); p < len(text) {
		return PassphraseBits(string(text[:p])) + math.Log2(float64(len(text))/float64(p))
	}
	bits := runBits(text)
	if plain, n := plainLetters(text); n > 0 {
		bits = min(bits, runBits(plain)+float64(n)*bitsLookalike)
	}
	if core, rest := splitHabit(text); isCommon(core) {
		common := bitsCommon + runBits(rest)
		if core != strings.ToLower(core) {
			common += bitsCapital
		}
		bits = min(bits, common)
	}
	return bits
}

// runBits adds up the runs of letters and the single other characters.
func runBits(text []rune) (bits float64) {
	lower := []rune(strings.ToLower(string(text)))
	if len(lower) != len(text) { // no character that people type changes the number
		lower = text
	}
	for i := 0; i < len(text); {
		n := 1
		if isASCIILetter(text[i]) {
			for i+n < len(text) && isASCIILetter(text[i+n]) {
				n++
			}
			bits += letterBits(text, lower, i, i+n)
		} else {
			bits += characterBits(lower, i)
		}
		i += n
	}
	return bits
}

// letterBits is what the ASCII letters from one index of text up to another are
// worth. lower is the text in lower case.
func letterBits(text, lower []rune, from, to int) float64 {
	each, bits := bitsLetter, 0.0
	run := text[from:to]
	switch changes := caseChanges(run); {
	case changes > 1:
		each = bitsMixed
	case pronounceable(lower[from:to]):
		each = bitsWordLetter
	}
	if !slices.Equal(run, lower[from:to]) && each != bitsMixed {
		bits = bitsCapital
	}
	for i := from; i < to; i++ {
		if continues(lower, i) {
			bits += bitsRepeat
		} else {
			bits += each
		}
	}
	return bits
}

// characterBits is what the character at i, no ASCII letter, is worth.
func characterBits(text []rune, i int) float64 {
	switch r := text[i]; {
	case continues(text, i):
		return bitsRepeat
	case r >= '0' && r <= '9':
		return bitsDigit
	case r == ' ':
		return bitsSpace
	case r < 0x80:
		return bitsSymbol
	}
	return bitsForeign
}

// continues reports whether the character at i follows from the one before it:
// the same, the next or the last in the alphabet, or its neighbour on the
// keyboard, in a row or in columns. The second character of a series is still a
// choice.
func continues(text []rune, i int) bool {
	if i == 0 {
		return false
	}
	a, b := text[i-1], text[i]
	if a == b {
		return true
	}
	if i < 2 {
		return false
	}
	if step := b - a; (step == 1 || step == -1) && text[i-1]-text[i-2] == step {
		return true
	}
	three := string(text[i-2 : i+1])
	for _, row := range series {
		if strings.Contains(row, three) {
			return true
		}
	}
	return false
}

// pronounceable reports whether lower-case letters look like words: some but
// not too many vowels and no long stretch without one. Short runs say nothing.
func pronounceable(run []rune) bool {
	if len(run) < 4 {
		return false
	}
	vowels, stretch, longest := 0, 0, 0
	for _, r := range run {
		if strings.ContainsRune("aeiouy", r) {
			vowels++
			stretch = 0
			continue
		}
		stretch++
		longest = max(longest, stretch)
	}
	return vowels*5 >= len(run) && vowels*3 <= len(run)*2 && longest <= 4
}

// caseChanges counts changes between capital and small letters, except for one
// capital at the beginning.
func caseChanges(run []rune) (n int) {
	for i := 2; i < len(run); i++ {
		if unicode.IsUpper(run[i]) != unicode.IsUpper(run[i-1]) {
			n++
		}
	}
	return n
}

// splitHabit takes digits and punctuation off the end, where people add them.
func splitHabit(text []rune) (core string, rest []rune) {
	n := len(text)
	for n > 0 && !isASCIILetter(text[n-1]) {
		n--
	}
	if n == 0 {
		n = len(text)
	}
	return string(text[:n]), text[n:]
}

// lookalikes are what people write for a letter, and the letters.
var lookalikes = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s")

// plainLetters undoes lookalikes that stand between two letters, and counts
// them. Where there are many, as in hexadecimal, they are no habit: 0.
func plainLetters(text []rune) (plain []rune, n int) {
	plain = append(plain, text...)
	for i := 1; i < len(text)-1; i++ {
		if isASCIILetter(text[i]) || !isASCIILetter(text[i-1]) || !isASCIILetter(text[i+1]) {
			continue
		}
		if s := lookalikes.Replace(string(text[i])); s != string(text[i]) {
			plain[i] = []rune(s)[0]
			n++
		}
	}
	if n > 3 {
		return text, 0
	}
	return plain, n
}

// isCommon reports whether core is in the list of common passwords, whatever
// its case and with lookalikes in place of letters.
func isCommon(core string) bool {
	lower := strings.ToLower(core)
	for _, s := range []string{lower, lookalikes.Replace(lower)} {
		if s != "" && !strings.Contains(s, " ") && strings.Contains(commonPasswords, " "+s+" ") {
			return true
		}
	}
	return false
}

// period returns the length of the shortest piece that text is made of
// repetitions of, two or more, of which the last may be broken off; len(text) when
// there is none.
func period(text []rune) int {
	for p := 1; p <= len(text)/2; p++ {
		if slices.Equal(text[p:], text[:len(text)-p]) {
			return p
		}
	}
	return len(text)
}

func isASCIILetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
