package cli

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func place(root bool, env map[string]string) Place {
	return placeOn("linux", root, env)
}

func placeOn(system string, root bool, env map[string]string) Place {
	return Place{Program: "edge", Root: root, System: system, Env: func(name string) string { return env[name] }}
}

func TestDirectories(t *testing.T) {
	home := map[string]string{"HOME": "/home/ana"}
	windows := map[string]string{"PROGRAMDATA": `C:\ProgramData`, "ALLUSERSPROFILE": `C:\ProgramData`, "LOCALAPPDATA": `C:\Users\ana\AppData\Local`, "APPDATA": `C:\Users\ana\AppData\Roaming`}
	for _, tt := range []struct {
		name    string
		place   Place
		state   string
		runtime []string
	}{
		{"root", place(true, map[string]string{"HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0"}),
			"/var/lib/edge", []string{"/run/edge", "/var/lib/edge/run"}},
		{"user", place(false, map[string]string{"HOME": "/home/ana", "XDG_RUNTIME_DIR": "/run/user/7"}),
			"/home/ana/.local/state/edge", []string{"/run/user/7/edge", "/run/edge", "/home/ana/.local/state/edge/run"}},
		{"user with XDG", place(false, map[string]string{"HOME": "/home/ana", "XDG_STATE_HOME": "/s"}),
			"/s/edge", []string{"/run/edge", "/s/edge/run"}},
		{"systemd", place(false, map[string]string{"STATE_DIRECTORY": "/var/lib/edge/a:/var/lib/b", "RUNTIME_DIRECTORY": "/run/edge"}),
			"/var/lib/edge/a", []string{"/run/edge", "/var/lib/edge/a/run"}},
		{"nowhere", place(false, map[string]string{"HOME": "relative"}), "", []string{"/run/edge"}},

		{"FreeBSD, root", placeOn("freebsd", true, home), "/var/db/edge", []string{"/var/run/edge", "/var/db/edge/run"}},
		{"FreeBSD", placeOn("freebsd", false, home), "/home/ana/.local/state/edge", []string{"/var/run/edge", "/home/ana/.local/state/edge/run"}},
		{"OpenBSD, root", placeOn("openbsd", true, nil), "/var/db/edge", []string{"/var/run/edge", "/var/db/edge/run"}},
		{"NetBSD, root", placeOn("netbsd", true, nil), "/var/db/edge", []string{"/var/run/edge", "/var/db/edge/run"}},
		{"macOS, root", placeOn("darwin", true, map[string]string{"HOME": "/var/root"}), "/var/db/edge", []string{"/var/run/edge", "/var/db/edge/run"}},
		{"macOS", placeOn("darwin", false, map[string]string{"HOME": "/Users/ana"}),
			"/Users/ana/Library/Application Support/edge", []string{"/var/run/edge", "/Users/ana/Library/Application Support/edge/run"}},
		{"macOS with XDG", placeOn("darwin", false, map[string]string{"HOME": "/Users/ana", "XDG_STATE_HOME": "/s"}), "/s/edge", []string{"/var/run/edge", "/s/edge/run"}},
		{"macOS without a home", placeOn("darwin", false, nil), "", []string{"/var/run/edge"}},

		{"Windows, elevated", placeOn("windows", true, windows), `C:\ProgramData\edge`, []string{`C:\ProgramData\edge\run`, `C:\Users\ana\AppData\Local\edge\run`}},
		{"Windows", placeOn("windows", false, windows), `C:\Users\ana\AppData\Local\edge`, []string{`C:\Users\ana\AppData\Local\edge\run`, `C:\ProgramData\edge\run`}},
		{"Windows, a folder on a server", placeOn("windows", false, map[string]string{"LOCALAPPDATA": `\\files\ana\`}), `\\files\ana\edge`, []string{`\\files\ana\edge\run`}},
		{"Windows, the roaming profile alone", placeOn("windows", false, map[string]string{"APPDATA": `C:\Users\ana\AppData\Roaming`}), `C:\Users\ana\AppData\Roaming\edge`, []string{`C:\Users\ana\AppData\Roaming\edge\run`}},
		{"Windows, an empty environment", placeOn("windows", false, nil), "", nil},
		{"Windows, with variables of Unix", placeOn("windows", false, map[string]string{"HOME": "/home/ana", "XDG_STATE_HOME": "/s", "STATE_DIRECTORY": "/d"}), "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state, err := tt.place.StateDir()
			if state != tt.state || (err != nil) != (tt.state == "") || err != nil && !strings.Contains(err.Error(), "--state-dir") {
				t.Errorf("state %q, %v, want %q", state, err, tt.state)
			}
			if got := tt.place.RuntimeDirs(); !slices.Equal(got, tt.runtime) {
				t.Errorf("runtime %q, want %q", got, tt.runtime)
			}
		})
	}
}

func TestMakeRuntimeDirFallsBack(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Below a file no directory can be made, whoever asks.
	p := place(false, map[string]string{"RUNTIME_DIRECTORY": filepath.Join(file, "x"), "XDG_RUNTIME_DIR": dir})
	got, err := p.MakeRuntimeDir()
	if want := filepath.Join(dir, "edge"); err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestSockets(t *testing.T) {
	dir := t.TempDir()
	p := place(false, map[string]string{"RUNTIME_DIRECTORY": dir})
	if got := p.Sockets(); len(got) > 0 && strings.HasPrefix(got[0], dir) {
		t.Fatalf("found %q in an empty directory", got)
	}
	for _, name := range []string{"b.sock", "a.sock", "c.other"} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, "file.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")}
	if got := p.Sockets(); len(got) < 2 || !slices.Equal(got[:2], want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFileName(t *testing.T) {
	seen := map[string]string{}
	for _, tt := range []struct{ name, want string }{
		{"mynetwork", "mynetwork"},
		{"nycmesh-bk_1.x", "nycmesh-bk_1.x"},
		{"..", "%2E."},
		{".hidden", "%2Ehidden"},
		{"a/b", "a%2Fb"},
		{"a%2Fb", "a%252Fb"},
		{"a b", "a%20b"},
		{"é", "%C3%A9"},
		{"a\x00", "a%00"},
		{"a~b", "a%7Eb"},
	} {
		if got := FileName(tt.name); got != tt.want {
			t.Errorf("FileName(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
	long := strings.Repeat("x", 64)
	for _, name := range []string{long, long + "y", long[:63], strings.Repeat("é", 32), strings.Repeat("x", longestName)} {
		got := FileName(name)
		if len(got) > longestName || strings.ContainsAny(got, "/\x00") {
			t.Errorf("FileName(%q) = %q", name, got)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q share the file name %q", name, other, got)
		}
		seen[got] = name
	}
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	lock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory: %v, %v", st.Mode(), err)
	}
	_, err = Lock(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "in use by pid ") {
		t.Errorf("a second lock: %v", err)
	}
	_ = lock.Close()
	lock, err = Lock(dir)
	if err != nil {
		t.Errorf("after the release: %v", err)
	}
	_ = lock.Close()
}
