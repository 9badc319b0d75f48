package crypto

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// kTime reads a time of a table; "" is the zero time.
func kTime(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// kGolden is the community of testdata/community.txt.
func kGolden() *Community {
	return &Community{
		Name:    "Nachbarschaft = é",
		Secret:  [32]byte(kRange(1, 32)),
		Members: MembersOpen,
		Fail:    true,
		Skew:    90 * time.Minute,
		Epochs: []Epoch{
			{Index: 7, Until: kTime("2026-01-31T00:00:00Z"), Transform: TransformAuto, Key: [32]byte(kRange(0x41, 32))},
			{Index: 8, From: kTime("2026-01-31T00:00:00Z"), Until: kTime("2026-03-02T12:00:00.5Z"),
				Transform: TransformAES, Key: [32]byte(kRange(0x61, 32))},
			{Index: 254, From: kTime("2026-03-02T00:00:00Z"), ChaCha: true, Transform: TransformChaCha, Key: [32]byte(kRange(0x81, 32))},
		},
	}
}

func kGoldenText(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/community.txt")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCommunityFileGolden(t *testing.T) {
	text := kGoldenText(t)
	got, err := ParseCommunity(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kGolden(), got); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
	written, err := kGolden().AppendText([]byte("before\n"))
	if err != nil || string(written) != "before\n"+string(text) {
		t.Errorf("written: %v\n%s", err, written)
	}
}

// TestCommunityFileForms holds what else is the same file: defaults, comments,
// line ends, order and other time zones.
func TestCommunityFileForms(t *testing.T) {
	const secret = "secret = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
	const epoch = "epoch 0 - - auto QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2A="
	want := &Community{
		Name:   "mynetwork",
		Secret: [32]byte(kRange(1, 32)),
		Skew:   time.Hour,
		Epochs: []Epoch{{Transform: TransformAuto, Key: [32]byte(kRange(0x41, 32))}},
	}
	bounded := *want
	bounded.Epochs = []Epoch{want.Epochs[0]}
	bounded.Epochs[0].From = kTime("2026-01-31T00:00:00Z")
	tests := []struct {
		what, text string
		want       *Community
	}{
		{"shortest", fileHeader + "\nname = mynetwork\n" + secret + "\n" + epoch, want},
		{"carriage returns", fileHeader + "\r\nname = mynetwork\r\n" + secret + "\r\n" + epoch + "\r\n", want},
		{"comments and blanks", fileHeader + "\n# x\n\n\t# y\nname=mynetwork\n " + secret + "\n" + epoch + "\n\n", want},
		{"any order", fileHeader + "\n" + epoch + "\n" + secret + "\nname =mynetwork", want},
		{"defaults spelled out", fileHeader + "\nname = mynetwork\nmembers = tofu\nskew = 60m\non_schedule_end = hold\n" + secret + "\n" + epoch, want},
		{"time zone", fileHeader + "\nname = mynetwork\n" + secret + "\n" + strings.Replace(epoch, "- -", "2026-01-31T01:00:00+01:00 -", 1), &bounded},
	}
	for _, tt := range tests {
		got, err := ParseCommunity([]byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.what, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

// TestCommunityFileErrors changes the golden file in one place each.
func TestCommunityFileErrors(t *testing.T) {
	const key8 = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4A="
	const zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	tests := []struct{ from, to, says string }{
		{"hedgerow community 1", "hedgerow community 2", `line 1: version "2" is not known here`},
		{"hedgerow community 1", "s3cret", "line 1: this is no community file"},
		{"hedgerow community 1", "\ufeff\ufeffhedgerow community 1", "line 1: this is no community file"},
		{"secret =", "secrte =", `line 3: unknown word "secrte": the nearest one is "secret"`},
		{"members", "member", `line 4: unknown word "member": the nearest one is "members"`},
		{"on_schedule_end", "on-schedule-end", `line 6: unknown word "on-schedule-end": the nearest one is "on_schedule_end"`},
		{"epoch 8", "Epoch 8", `line 10: unknown word "Epoch": the nearest one is "epoch"`},
		{"epoch 8", "8", `line 10: unknown word "8"`},
		{"skew = 1h30m", "name = other", "line 5: name was already set in line 2"},
		{"skew = 1h30m", "skew 1h30m", "line 5: skew has no value: write skew = VALUE"},
		{"skew = 1h30m", "skew =", "line 5: skew has no value"},
		{"skew = 1h30m", "skew = 25h", `line 5: skew cannot be "25h"`},
		{"skew = 1h30m", "skew = -1h", `line 5: skew cannot be "-1h"`},
		{"skew = 1h30m", "skew = 0", `line 5: skew cannot be "0"`},
		{"skew = 1h30m", "skew = 90", `line 5: skew cannot be "90"`},
		{"members = open", "members = all", `line 4: members cannot be "all": write tofu, open or list`},
		{"members = open", "members = list", "members = list needs a line authority = KEY"},
		{"members = open", "authority = ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A=", "an authority decides nothing without the line members = list"},
		{"members = open", "authority = x", "line 4: authority is damaged"},
		{"members = open", "members = list\nauthority = AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "the authority is a key that nobody can sign with"},
		{"= fail", "= stop", `line 6: on_schedule_end cannot be "stop": write hold or fail`},
		{"name = Nachbarschaft = é", "name = a\x00b", "line 2: it holds bytes that are zero"},
		{"name = Nachbarschaft = é", "name = a\xff", "line 2: it is neither UTF-8"},
		{"name = Nachbarschaft = é", "name = " + strings.Repeat("x", 65), "line 2: the community name is 65 bytes long"},
		{"name = Nachbarschaft = é", "# no name", "the name line is missing"},
		{"secret = AQID", "# AQID", "the secret line is missing"},
		{"secret = AQID", "secret = aQI", "line 3: secret is damaged"},
		{"secret = AQID", "secret = AQ ID", "line 3: secret is damaged"},
		{"QUJDREVG", "QUJDREV!", "line 9: the key of the epoch is damaged"},
		{"X2A=", "X2B=", "line 9: the key of the epoch is damaged"},
		{"X2A=", "X2A", "line 9: the key of the epoch is damaged"},
		{key8, zero, "line 10: epoch 8 has a key of zeros"},
		{key8, "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "epoch 8 uses the community secret as its key"},
		{key8, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2A=", "line 10: epochs 7 and 8 have the same key"},
		{"epoch 8", "epoch 7", "line 10: epoch 7 is there twice: an index is never given another key"},
		{"epoch 8", "epoch 255", `line 10: "255" is no key index`},
		{"epoch 8", "epoch 256", `line 10: "256" is no key index`},
		{"epoch 8", "epoch -1", `line 10: "-1" is no key index`},
		{"epoch 8", "epoch", "line 10: an epoch has 5 values, here are 4"},
		{key8, key8 + " # new", "line 10: an epoch has 5 values, here are 7"},
		{"2026-01-31T00:00:00Z 2026-03-02T12:00:00.5Z", "- 2026-03-02T12:00:00.5Z", "line 10: epochs 7 and 8 start at the same time"},
		{"2026-01-31T00:00:00Z 2026-03-02T12:00:00.5Z", "2026-03-02T00:00:00Z -", "line 11: epochs 8 and 254 start at the same time"},
		{"2026-01-31T00:00:00Z 2026-03-02T12:00:00.5Z", "2026-03-02T12:00:00Z 2026-03-02T12:00:00Z", "line 10: epoch 8 ends at"},
		{"- 2026-01-31T00:00:00Z", "- 2026-01-31", `line 9: "2026-01-31" is no time: write it as`},
		{"- 2026-01-31T00:00:00Z", "- 0001-01-01T00:00:00Z", "line 9: \"0001-01-01T00:00:00Z\" is out of range"},
		{"- 2026-01-31T00:00:00Z", "- 9999-12-31T23:59:59-23:00", "is out of range"},
		{"aes-256-gcm", "aes", `line 10: epoch 8 has the unknown transform "aes"`},
		{"epoch 254", "\x01\x02", "line 11: unknown word"},
	}
	golden := string(kGoldenText(t))
	for _, tt := range tests {
		text := strings.Replace(golden, tt.from, tt.to, 1)
		if text == golden {
			t.Errorf("%q is not in the golden file", tt.from)
			continue
		}
		if c, err := ParseCommunity([]byte(text)); err == nil || c != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q instead of %q: %v, want %q", tt.to, tt.from, err, tt.says)
		}
	}
	noEpoch, _, _ := strings.Cut(golden, "epoch 7")
	if _, err := ParseCommunity([]byte(noEpoch)); err == nil || !strings.Contains(err.Error(), "the epoch line is missing") {
		t.Errorf("without epochs: %v", err)
	}
	if _, err := ParseCommunity(nil); err == nil {
		t.Error("an empty file was accepted")
	}
	large := golden + strings.Repeat("#\n", MaxKeyFile/2)
	if _, err := ParseCommunity([]byte(large)); err == nil || !strings.Contains(err.Error(), "larger than 1048576") {
		t.Errorf("a large file: %v", err)
	}
}

// TestCommunityFileErrorsHideKeys holds that a key in the wrong place does not
// get into a message.
func TestCommunityFileErrorsHideKeys(t *testing.T) {
	const key = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4A="
	for _, line := range []string{
		key, "members = " + key, "skew = " + key, "epoch " + key + " - - auto x", "epoch 1 " + key + " - auto x",
		"epoch 1 - - auto " + key + "x", "epoch 1 - - " + key + " x", "epoch 1 - - " + key + " " + key, "authority = x" + key, "on_schedule_end = " + key,
	} {
		_, err := ParseCommunity([]byte(fileHeader + "\n" + line + "\n"))
		if err == nil || strings.Contains(err.Error(), key[:12]) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestCommunityFileNotWritten(t *testing.T) {
	insecure, err := InsecureCommunity("mynetwork")
	if err != nil {
		t.Fatal(err)
	}
	twice := kGolden()
	twice.Epochs[1].Index = 7
	confused := kGolden()
	confused.Epochs[0].ChaCha = true
	year := kGolden()
	year.Epochs[0].Until = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	authority := kGolden()
	authority.Authority = kRange(0x21, 32)
	list := kGolden()
	list.Members = MembersList
	for _, tt := range []struct {
		c    *Community
		says string
	}{
		{insecure, "without encryption"},
		{twice, "epoch 7 is there twice"},
		{confused, "two different things"},
		{year, "year 12000"},
		{authority, "an authority decides nothing"},
		{list, "members = list needs a line authority"},
		{&Community{}, "no name"},
		{&Community{Name: " x", Secret: [32]byte{1}}, "begins or ends with a space"},
		{&Community{Name: "x"}, "secret is missing"},
		{&Community{Name: "x", Secret: [32]byte{1}}, "no epoch"},
		{&Community{Name: "x", Secret: [32]byte{1}, Skew: 25 * time.Hour}, "at most 24h"},
		{&Community{Name: "x", Secret: [32]byte{1}, Members: 3}, "members(3)"},
	} {
		if b, err := tt.c.AppendText(nil); err == nil || !strings.Contains(err.Error(), tt.says) || b != nil {
			t.Errorf("want %q, got %v", tt.says, err)
		}
	}
}

// FuzzParseCommunity holds that whatever parses is written as a file that
// parses to the same and is written the same again.
func FuzzParseCommunity(f *testing.F) {
	golden := kGoldenText(f)
	f.Add(golden)
	f.Add([]byte(fileHeader + "\nskew = 1ns\nmembers = open\n"))
	f.Add([]byte("hubs = " + EncodeHubs([][32]byte{hubID(1), hubID(2)}) + "\n"))
	f.Add(bytes.ReplaceAll(golden, []byte("\n"), []byte("\r\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Help inputs past the gate: what lacks a line gets the golden file's.
		for _, text := range [][]byte{b, append(bytes.Clone(golden), b...), append([]byte(fileHeader+"\n"), b...)} {
			c, err := ParseCommunity(text)
			if err != nil {
				if c != nil || len(err.Error()) > 400 {
					t.Fatalf("a community beside an error, or a long error: %v", err)
				}
				continue
			}
			once, err := c.AppendText(nil)
			if err != nil {
				t.Fatalf("parsed but not written: %v", err)
			}
			again, err := ParseCommunity(once)
			if err != nil {
				t.Fatalf("written but not parsed: %v\n%s", err, once)
			}
			if diff := cmp.Diff(c, again); diff != "" {
				t.Fatalf("not the same (-first +second):\n%s", diff)
			}
			if twice, err := again.AppendText(nil); err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("written otherwise the second time: %v", err)
			}
		}
	})
}
