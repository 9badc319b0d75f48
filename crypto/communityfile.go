package crypto

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hedgerow/internal/textfile"
)

// A community file is text, made to be read and to be pasted from:
//
//	hedgerow community 1
//	# anything after a # at the start of a line
//	name = mynetwork
//	secret = BASE64 OF 32 BYTES
//	members = tofu | open | list       (optional, tofu)
//	authority = BASE64 OF 32 BYTES     (with members = list: who signs the list)
//	hubs = IDENTITY ...                (optional: members see these alone)
//	skew = 1h                          (optional, 1h)
//	on_schedule_end = hold | fail      (optional, hold)
//	epoch INDEX FROM UNTIL TRANSFORM KEY
//
// with one epoch line per key. FROM and UNTIL are RFC 3339 times, or - for no
// bound. Whatever is not understood is an error: a setting that is skipped in
// silence is how keys get lost.
const (
	fileMagic   = "hedgerow community"
	fileHeader  = fileMagic + " 1"
	noBound     = "-"
	epochLayout = "epoch INDEX FROM UNTIL TRANSFORM KEY"
)

// Settings that need each other.
var (
	errList      = errors.New("members = list needs a line authority = KEY: 'edge authority FILE' makes the key that signs the list, and shows the line")
	errAuthority = errors.New("an authority decides nothing without the line members = list: write that, or take the authority away")
)

// fileSettings are the words of the lines that set one thing each, in the
// order in which they are written.
var fileSettings = [...]string{"name", "secret", "authority", "members", "hubs", "skew", "on_schedule_end"}

// ParseCommunity reads a community file of at most MaxKeyFile bytes. An error
// names the line and says what to write there. The result passes every check
// that AppendText makes, and AppendText gives a file that parses to the same.
func ParseCommunity(b []byte) (*Community, error) {
	if len(b) > MaxKeyFile {
		return nil, tooLarge("the community file", MaxKeyFile)
	}
	p := fileParser{c: &Community{Skew: DefaultSkew}, seen: make(map[string]int)}
	text, err := textfile.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("community file, %w", err)
	}
	lines := strings.Split(text, "\n")
	if header := strings.TrimSpace(lines[0]); header != fileHeader {
		return nil, lineError(1, headerError(header))
	}
	for i, line := range lines[1:] {
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if err := p.line(i+2, text); err != nil {
			return nil, lineError(i+2, err)
		}
	}
	for _, word := range []string{"name", "secret", "epoch"} {
		if p.seen[word] == 0 {
			return nil, fmt.Errorf("community file: the %s line is missing: make a new file with edge keygen", word)
		}
	}
	if err := p.c.check(); err != nil {
		return nil, fmt.Errorf("community file: %w", err)
	}
	return p.c, nil
}

// AppendText appends the community file of c to dst. Comments of a file that c
// came from, and Modified, are not kept. The community of
// --insecure-no-encryption has no file: its keys are public.
func (c *Community) AppendText(dst []byte) ([]byte, error) {
	if c.Insecure {
		return dst, errors.New("a community without encryption has no key to write: make one with edge keygen")
	}
	if err := c.check(); err != nil {
		return dst, err
	}
	end := "hold"
	if c.Fail {
		end = "fail"
	}
	dst = fmt.Appendf(dst, "%s\nname = %s\nsecret = %s\n", fileHeader, c.Name, encodeKey(c.Secret[:]))
	dst = fmt.Appendf(dst, "members = %v\n", c.Members)
	if c.Members == MembersList {
		dst = fmt.Appendf(dst, "authority = %s\n", EncodeAuthority(c.Authority))
	}
	if len(c.Hubs) > 0 {
		dst = fmt.Appendf(dst, "hubs = %s\n", EncodeHubs(c.Hubs))
	}
	dst = fmt.Appendf(dst, "skew = %s\non_schedule_end = %s\n\n# %s\n", encodeLength(c.skew()), end, epochLayout)
	for _, e := range c.Epochs {
		transform := e.Transform
		if transform == "" {
			transform = TransformAuto
		}
		dst = fmt.Appendf(dst, "epoch %d %s %s %s %s\n", e.Index,
			encodeBound(e.From), encodeBound(e.Until), transform, encodeKey(e.Key[:]))
	}
	return dst, nil
}

// fileParser holds the settings of the lines read so far.
type fileParser struct {
	c    *Community
	seen map[string]int // word to the line it was last on
}

// line reads one line that is neither empty nor a comment.
func (p *fileParser) line(number int, text string) error {
	word := text
	if i := strings.IndexAny(text, " \t="); i >= 0 {
		word = text[:i]
	}
	rest := strings.TrimSpace(text[len(word):])
	if word == "epoch" {
		e, err := parseEpoch(rest)
		if err != nil {
			return err
		}
		for _, o := range p.c.Epochs {
			if err := e.clash(o); err != nil {
				return err
			}
		}
		p.seen[word] = number
		p.c.Epochs = append(p.c.Epochs, e)
		return nil
	}
	if !isSetting(word) {
		return fmt.Errorf("unknown word %s: the nearest one is %q", quoteShort(word), textfile.NearestWord(word, append([]string{"epoch"}, fileSettings[:]...)))
	}
	if first := p.seen[word]; first != 0 {
		return fmt.Errorf("%s was already set in line %d: take one of the two away", word, first)
	}
	p.seen[word] = number
	value, ok := strings.CutPrefix(rest, "=")
	if value = strings.TrimSpace(value); !ok || value == "" {
		return fmt.Errorf("%s has no value: write %s = VALUE", word, word)
	}
	return p.set(word, value)
}

// set stores the value of one setting.
func (p *fileParser) set(word, value string) (err error) {
	switch word {
	case "name":
		p.c.Name = value
		return checkName(value)
	case "secret":
		p.c.Secret, err = decodeKey(word, value)
	case "authority":
		var key [32]byte
		key, err = decodeKey(word, value)
		p.c.Authority = key[:]
	case "members":
		switch value {
		case "tofu":
			p.c.Members = MembersTOFU
		case "open":
			p.c.Members = MembersOpen
		case "list":
			p.c.Members = MembersList
		default:
			return fmt.Errorf("members cannot be %s: write tofu, open or list", quoteShort(value))
		}
	case "hubs":
		p.c.Hubs, err = ParseHubs(value)
	case "skew":
		p.c.Skew, err = time.ParseDuration(value)
		if err != nil || p.c.Skew <= 0 || p.c.Skew > MaxSkew {
			return fmt.Errorf("skew cannot be %s: write a length of time up to 24h, as 1h or 90m", quoteShort(value))
		}
	case "on_schedule_end":
		if value != "hold" && value != "fail" {
			return fmt.Errorf("on_schedule_end cannot be %s: write hold or fail", quoteShort(value))
		}
		p.c.Fail = value == "fail"
	}
	return err
}

// parseEpoch reads the part of the line after the word epoch.
func parseEpoch(rest string) (e Epoch, err error) {
	f := strings.Fields(rest)
	if len(f) != 5 {
		return e, fmt.Errorf("an epoch has 5 values, here are %d: write %s", len(f), epochLayout)
	}
	index, err := strconv.ParseUint(f[0], 10, 8)
	if err != nil || index > MaxIndex {
		return e, fmt.Errorf("%s is no key index: write a number from 0 to %d", quoteShort(f[0]), MaxIndex)
	}
	e.Index, e.Transform = uint8(index), f[3]
	if e.From, err = decodeBound(f[1]); err != nil {
		return e, err
	}
	if e.Until, err = decodeBound(f[2]); err != nil {
		return e, err
	}
	e.ChaCha = e.Transform == TransformChaCha
	if e.Key, err = decodeKey("the key of the epoch", f[4]); err != nil {
		return e, err
	}
	return e, e.check(&Community{})
}

// encodeLength writes a length of time without the zero minutes and seconds
// that package time adds.
func encodeLength(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// encodeBound writes one end of an epoch.
func encodeBound(t time.Time) string {
	if t.IsZero() {
		return noBound
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// decodeBound reads one end of an epoch.
func decodeBound(s string) (time.Time, error) {
	if s == noBound {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%s is no time: write it as 2026-03-01T00:00:00Z, or - for no bound", quoteShort(s))
	}
	if t = t.UTC(); t.Year() < 1970 || t.Year() > 9999 {
		return t, fmt.Errorf("%s is out of range: write a year from 1970 to 9999, or - for no bound", quoteShort(s))
	}
	return t, nil
}

// encodeKey writes 32 bytes in base64 (RFC 4648, section 4, padded).
func encodeKey(key []byte) string { return base64.StdEncoding.EncodeToString(key) }

// decodeKey reads 32 bytes. It never repeats what it read: even a damaged key
// has no place in a message or log.
func decodeKey(what, s string) (key [32]byte, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(key) || len(s) != base64.StdEncoding.EncodedLen(len(key)) {
		return key, fmt.Errorf("%s is damaged: it must be 32 bytes in base64, 44 characters with one = at the end; "+
			"copy it again, whole", what)
	}
	return [32]byte(b), nil
}

// headerError explains a wrong first line.
func headerError(header string) error {
	if version, ok := strings.CutPrefix(header, fileMagic+" "); ok {
		return fmt.Errorf("version %s is not known here, only version 1: use a newer hedgerow", quoteShort(version))
	}
	return fmt.Errorf("this is no community file: its first line must be %q; a passphrase goes with --key-file", fileHeader)
}

// lineError puts the line's number in front of an error.
func lineError(number int, err error) error {
	return fmt.Errorf("community file, line %d: %w", number, err)
}

// quoteShort quotes the user's input. If it is as long as a key it shows the
// beginning only: it may be a key in the wrong place.
func quoteShort(s string) string {
	const most, beginning = 36, 8
	if len(s) > most {
		return strconv.Quote(s[:beginning]) + "..."
	}
	return strconv.Quote(s)
}

// isSetting reports whether word begins a line that sets one thing.
func isSetting(word string) bool {
	for _, w := range fileSettings {
		if w == word {
			return true
		}
	}
	return false
}
