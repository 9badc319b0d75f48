package crypto

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestCheckKeyFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no Unix modes here")
	}
	dir := t.TempDir()
	tests := []struct {
		name    string
		mode    os.FileMode
		content string
		says    string
	}{
		{"usual", 0o600, "k", ""},
		{"read-only", 0o400, "k", ""},
		{"group reads", 0o640, "k", "mode 0640, so others may reach the secret in it: type chmod 600"},
		{"all read", 0o644, "k", "chmod 600"},
		{"others read", 0o604, "k", "chmod 600"},
		{"others write", 0o602, "k", "chmod 600"},
		{"executable", 0o700, "k", "chmod 600"},
		{"largest", 0o600, strings.Repeat("k", MaxKeyFile), ""},
		{"too large", 0o600, strings.Repeat("k", MaxKeyFile+1), "larger than 1048576 bytes"},
	}
	for _, tt := range tests {
		path := filepath.Join(dir, tt.name)
		kWrite(t, path, tt.content, tt.mode)
		err := CheckKeyFile(path)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if _, readErr := ReadKeyFile(path); (readErr == nil) != (err == nil) {
			t.Errorf("%s: ReadKeyFile says %v", tt.name, readErr)
		}
	}
	if err := CheckKeyFile(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := CheckKeyFile(dir); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("a directory: %v", err)
	}
	if err := CheckKeyFile(os.DevNull); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("a device: %v", err)
	}
}

// TestCheckKeyFileOwner needs root, who alone can give files away.
func TestCheckKeyFileOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	path := filepath.Join(t.TempDir(), "key")
	kWrite(t, path, "k", 0o600)
	tests := []struct {
		user, group int
		mode        os.FileMode
		says        string
	}{
		{0, 0, 0o600, ""},
		{0, 0, 0o440, ""}, // as systemd hands over a credential
		{0, 0, 0o640, "chmod 600"},
		{0, 7, 0o440, "chmod 600"},
		{0, 7, 0o400, ""},
		{7, 0, 0o400, "belongs to user 7, who could change it: type chown 0 "},
	}
	for _, tt := range tests {
		if err := errors.Join(os.Chown(path, tt.user, tt.group), os.Chmod(path, tt.mode)); err != nil {
			t.Fatal(err)
		}
		err := CheckKeyFile(path)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestReadKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	tests := []struct{ content, want, says string }{
		{"s3cret", "s3cret", ""},
		{"s3cret\n", "s3cret", ""},
		{"s3cret\r\n", "s3cret", ""},
		{"s3cret\r", "s3cret", ""},
		{"s3cret\n\n", "s3cret", ""},
		{"correct horse\n", "correct horse", ""},
		{" s3cret \n", "", "blanks"},
		{"two\nlines\n", "", "several lines"},
		{"s\x00e", "", "zero"},
		{"", "", "is empty"},
		{"\n", "", "is empty"},
		{"hedgerow community 1\nname = x\n", "", "--community-file"},
	}
	for _, tt := range tests {
		kWrite(t, path, tt.content, 0o600)
		got, err := ReadKeyFile(path)
		if got != tt.want || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %q, %v", tt.content, got, err)
		}
	}
}
