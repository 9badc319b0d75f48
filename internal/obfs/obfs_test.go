package obfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
)

const strong = "q8s0Lk3vZp2mX7yW1bNcT5dR9fGhJ4aE"

// read reads the key of a command line and an environment.
func read(t *testing.T, env map[string]string, args ...string) (k Key, err error) {
	t.Helper()
	app := &ucli.App{Name: "p", Flags: Flags("P_OBFS_KEY"), Action: func(c *ucli.Context) error {
		k, err = Read(c, func(name string) string { return env[name] }, "P_OBFS_KEY")
		return nil
	}}
	var errs strings.Builder
	if code := cli.Run(t.Context(), app, append([]string{"p"}, args...), cli.Streams{In: strings.NewReader(""), Out: &errs, Err: &errs}); code != cli.OK {
		t.Fatalf("%d: %s", code, errs.String())
	}
	return k, err
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file, open := write("file", strong+"\n", 0o600), write("open", strong, 0o644)
	write("obfs-key", "of systemd, which is long enough\n", 0o440)
	env := map[string]string{"P_OBFS_KEY": "of the environment, long enough"}
	systemd := map[string]string{"CREDENTIALS_DIRECTORY": dir}
	for name, test := range map[string]struct {
		env     map[string]string
		args    []string
		want    string
		warning string // a part of the only one; empty: there is none
		fault   string // a part of the error; empty: there is none
	}{
		"none":           {},
		"none there":     {env: map[string]string{"CREDENTIALS_DIRECTORY": t.TempDir()}},
		"option":         {args: []string{"--obfs-key", strong}, want: strong, warning: "command line"},
		"file":           {env: env, args: []string{"--obfs-key-file", file}, want: strong},
		"environment":    {env: env, want: "of the environment, long enough"},
		"credential":     {env: systemd, want: "of systemd, which is long enough"},
		"weak":           {env: map[string]string{"P_OBFS_KEY": "abc"}, want: "abc", warning: "weak"},
		"both":           {args: []string{"--obfs-key", strong, "--obfs-key-file", file}, fault: "exclude each other"},
		"nothing":        {args: []string{"--obfs-key", ""}, fault: "given nothing"},
		"no file":        {args: []string{"--obfs-key-file", filepath.Join(dir, "none")}, fault: "--obfs-key-file"},
		"readable":       {args: []string{"--obfs-key-file", open}, fault: "chmod"},
		"too long":       {args: []string{"--obfs-key", strings.Repeat("ab", 65)}, fault: "128 are the most"},
		"secret in none": {args: []string{"--obfs-key", strings.Repeat(strong, 5)}, fault: "160 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := read(t, test.env, test.args...)
			switch {
			case test.fault != "":
				if err == nil || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), strong) {
					t.Errorf("%v, want %q", err, test.fault)
				}
			case err != nil || string(k.Bytes) != test.want:
				t.Errorf("%q, %v", k.Bytes, err)
			case test.warning == "" && len(k.Warnings) > 0, test.warning != "" && (len(k.Warnings) != 1 || !strings.Contains(k.Warnings[0], test.warning)):
				t.Errorf("it warns %q", k.Warnings)
			}
		})
	}
}

// shelf has the files of a predecessor.
type shelf map[string]*os.File

func (s shelf) Take(name string) *os.File { return s[name] }

// TestInherit: a key that was typed is hidden on the command line of a successor, which has it
// from its predecessor.
func TestInherit(t *testing.T) {
	k, err := read(t, nil, "--obfs-key", strong)
	if err != nil {
		t.Fatal(err)
	}
	f, ok, err := k.File()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	next, err := read(t, nil, "--obfs-key", strings.Repeat("*", len(strong)))
	if err != nil {
		t.Fatal(err)
	}
	if next.Inherit(shelf{f.Name: f.File}); string(next.Bytes) != strong || len(next.Warnings) > 0 {
		t.Errorf("%q, %q", next.Bytes, next.Warnings)
	}
	if next.Inherit(shelf{}); string(next.Bytes) != strong {
		t.Error("without a file the key is gone")
	}
	if k, err = read(t, map[string]string{"P_OBFS_KEY": strong}); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := k.File(); ok {
		t.Error("a key of the environment is handed over")
	}
}
