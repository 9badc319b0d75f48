package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const blankChild = "CLI_BLANK_CHILD"

// TestMain lets the test binary stand in for a command that blanks its key.
func TestMain(m *testing.M) {
	if os.Getenv(blankChild) == "" {
		os.Exit(m.Run())
	}
	args := TakeArgs("k", "key")
	seen, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%q\n", args[1:])
	os.Stdout.Write(seen)
}

func TestTakeArgs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows the memory of os.Args in its list of processes")
	}
	for _, args := range [][]string{
		{"-c", "net", "-k", "s3cret-word", "-l", "host:1"},
		{"-c", "net", "-k=s3cret-word"},
		{"--key", "s3cret-word", "run"},
		{"--key=s3cret-word"},
		{"-key", "s3cret-word"},
		{"-vk", "s3cret-word"},
		{"run", "-k", "s3cret-word"},
		{"join", "edge://net@host:1/?pin=a#token=s3cret-word"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], args...)
			cmd.Env = append(os.Environ(), blankChild+"=1")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			taken, shown, _ := bytes.Cut(out, []byte("\n"))
			if want := fmt.Sprintf("%q", args); string(taken) != want {
				t.Errorf("the command got %s, want %s", taken, want)
			}
			if bytes.Contains(shown, []byte("s3cret")) || bytes.Contains(shown, []byte("word")) {
				t.Errorf("the list of processes shows %q", shown)
			}
			if !bytes.Contains(shown, []byte("***********")) || slices.Contains(args, "net") && !bytes.Contains(shown, []byte("net")) {
				t.Errorf("the list of processes shows %q", shown)
			}
		})
	}
}

func TestSecretParts(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"edge -k a", []string{"a"}},
		{"edge -k", nil},
		{"edge -k=a --key=b --key c -key d", []string{"a", "b", "c", "d"}},
		{"edge -vk a", []string{"a"}},
		{"edge --key-file f --community-file k -c k", nil},
		{"edge -k -k x", []string{"-k"}},
		{"k a", nil},
		{"edge join edge://a@b --qr Edge://c", []string{"edge://a@b", "Edge://c"}},
	} {
		if got := secretParts(strings.Fields(tt.line), []string{"k", "key"}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.line, got, tt.want)
		}
	}
}
