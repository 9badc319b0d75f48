package process

import (
	"os"
	"strings"
	"testing"
)

func TestPrintableCommand(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"/usr/bin/edge|-c|other", "edge -c other"},
		{"edge|-c|net|-k|s3cret|-l|h:1", "edge -c net -k *** -l h:1"},
		{"edge|-vk|s3cret", "edge -vk ***"},
		{"edge|-ks3cret", "edge -k***"},
		{"edge|--key|s3cret", "edge --key ***"},
		{"edge|--key=s3cret", "edge --key=***"},
		{"edge|-k|", "edge -k"},
		{"edge|\x1b]0;title\x07|\u202e", "edge ?]0;title? ?"},
		{"", "unknown"},
		{"/sbin/" + strings.Repeat("x", 80), strings.Repeat("x", 57) + "..."},
	} {
		if got := printableCommand(strings.Split(tt.args, "|")); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.args, got, tt.want)
		}
	}
}

func TestCommandOf(t *testing.T) {
	if got := Command(os.Getpid()); got == "unknown" || got == "" {
		t.Errorf("our own command is %q", got)
	}
	if got := Command(-1); got != "unknown" {
		t.Errorf("no process: %q", got)
	}
}

// FuzzPrintableCommand checks that whatever a process calls itself can be
// printed, in 60 bytes, and shows no argument of -k.
func FuzzPrintableCommand(f *testing.F) {
	f.Add("edge", "-c", "other")
	f.Add("\xff\x00", "\x1b[2J", "")
	f.Fuzz(func(t *testing.T, program, flag, value string) {
		got := printableCommand([]string{program, flag, value})
		if got == "" || len(got) > 60 {
			t.Fatalf("%d bytes: %q", len(got), got)
		}
		for _, b := range []byte(got) {
			if b < ' ' || b >= 0x7f {
				t.Fatalf("not printable: %q", got)
			}
		}
		got = printableCommand([]string{"edge", "-k", "secret:" + value})
		if strings.Contains(got, "secret:") {
			t.Fatalf("shows the key: %q", got)
		}
	})
}
