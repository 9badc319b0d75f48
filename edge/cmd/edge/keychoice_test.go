package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
)

func mustCommunity(t *testing.T) *crypto.Community {
	t.Helper()
	c, err := crypto.InsecureCommunity("n")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// communityText is a community file for "real".
func communityText(t *testing.T) string {
	t.Helper()
	cmd := testCommand(nil)
	if code := cmd.run(t.Context(), []string{program, "keygen", "--community", "real", "--epochs", "1"}); code != cli.OK {
		t.Fatal(cmd.streams.Err)
	}
	return cmd.streams.Out.(*strings.Builder).String()
}

func TestLoad(t *testing.T) {
	text := communityText(t)
	file := writeFile(t, "community", text, 0o600)
	helper := writeFile(t, "helper", "#!/bin/sh\ncat "+file+"\n", 0o700)
	passphrase, err := crypto.FromPassphrase("n", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	const strong = "kh0wcpeowHy3t7ATWIqL4dN8cDdIsXkjUPRYfTQnbvA"
	for _, tt := range []struct {
		name     string
		key      keyChoice
		from     string // community on the command line
		stdin    string
		want     string // name of the community
		reloads  bool
		warnings []string // how each begins
		same     *crypto.Community
	}{
		{name: "weak option", key: keyChoice{kind: keyOption, text: "abc"}, from: "n", want: "n", warnings: []string{"the key was on the command line", "the key is weak: about "}},
		{name: "strong option", key: keyChoice{kind: keyOption, text: strong}, from: "n", want: "n", warnings: []string{"the key was on the command line"}},
		{name: "strong environment", key: keyChoice{kind: keyEnvironment, text: strong}, from: "n", want: "n"},
		{name: "key file", key: keyChoice{kind: keyFile, text: writeFile(t, "k", strong+"\n", 0o600)}, from: "n", want: "n"},
		{name: "standard input", key: keyChoice{kind: keyStdin}, from: "n", stdin: "\ufeffcorrect horse\r\n\r\n", want: "n", warnings: []string{"the key is weak"}, same: passphrase},
		{name: "community file", key: keyChoice{kind: keyCommunityFile, text: file}, want: "real", reloads: true},
		{name: "community file and its name", key: keyChoice{kind: keyCommunityFile, text: file}, from: "real", want: "real", reloads: true},
		{name: "community on standard input", key: keyChoice{kind: keyStdin}, from: "real", stdin: text, want: "real"},
		{name: "helper", key: keyChoice{kind: keyExec, text: helper + " --argument"}, from: "real", want: "real", reloads: true},
		{name: "no encryption", key: keyChoice{kind: keyInsecure}, from: "n", want: "n", warnings: []string{"encryption is off"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.key.load(t.Context(), tt.from, strings.NewReader(tt.stdin))
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != tt.want || (got.source != nil) != tt.reloads || len(got.warnings) != len(tt.warnings) {
				t.Fatalf("%+v", got)
			}
			for i, w := range tt.warnings {
				if !strings.HasPrefix(got.warnings[i], w) {
					t.Errorf("%q, want %q", got.warnings[i], w)
				}
			}
			if tt.same != nil && got.Secret != tt.same.Secret {
				t.Error("another key came out")
			}
		})
	}
}

func TestLoadFaults(t *testing.T) {
	text := communityText(t)
	file := writeFile(t, "community", text, 0o600)
	for _, tt := range []struct {
		name  string
		key   keyChoice
		from  string
		stdin string
		want  string
	}{
		{"another community", keyChoice{kind: keyCommunityFile, text: file, from: "--community-file"}, "other", "", `-c other, but --community-file holds the keys of "real"`},
		{"another community on standard input", keyChoice{kind: keyStdin, from: "--key-file"}, "other", text, `holds the keys of "real"`},
		{"readable by others", keyChoice{kind: keyFile, text: writeFile(t, "k", "x", 0o640), from: "--key-file"}, "n", "", "cannot use the key of --key-file: "},
		{"a community file in place of a key", keyChoice{kind: keyFile, text: file, from: "--key-file"}, "real", "", "--community-file"},
		{"endless input", keyChoice{kind: keyStdin, from: "--key-file"}, "n", strings.Repeat("x", crypto.MaxKeyFile+1), "is longer than"},
		{"empty credential", keyChoice{kind: keyCredential, text: writeFile(t, "k", "", 0o400), from: "${CREDENTIALS_DIRECTORY}/key"}, "n", "", "is empty"},
		{"no such credential", keyChoice{kind: keyCredential, text: filepath.Join(os.TempDir(), "no-such-key")}, "n", "", "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.key.load(t.Context(), tt.from, strings.NewReader(tt.stdin))
			if cli.CodeOf(err) != cli.Usage || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v (%d), want %q", err, cli.CodeOf(err), tt.want)
			}
		})
	}
}

// editors is one text as the editors and shells of several systems leave it.
func editors(text string) map[string]string {
	windows := strings.ReplaceAll(text, "\n", "\r\n")
	little, big := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(windows)) {
		little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
	}
	return map[string]string{
		"as it is": text, "Windows": windows, "Notepad": "\ufeff" + windows, "a mark": "\ufeff" + text, "PowerShell": string(little), "UTF-16, big": string(big),
		"no last line end": strings.TrimSuffix(text, "\n"), "empty lines at the end": text + "\n\n", "an old Mac": strings.ReplaceAll(text, "\n", "\r"),
	}
}

// Every text that the edge reads, from wherever, means the same whichever editor has saved
// it.
func TestAnyEditor(t *testing.T) {
	community, passphrase := communityText(t), "correct horse battery staple\n"
	want, err := crypto.ParseCommunity([]byte(community))
	if err != nil {
		t.Fatal(err)
	}
	credentials := t.TempDir()
	sources := map[string]func(text string) (keyChoice, string){
		"--community-file": func(text string) (keyChoice, string) {
			return keyChoice{kind: keyCommunityFile, text: writeFile(t, "community", text, 0o600)}, ""
		},
		"--key-exec": func(text string) (keyChoice, string) {
			return keyChoice{kind: keyExec, text: "cat " + writeFile(t, "output", text, 0o600)}, ""
		},
		"--key-file": func(text string) (keyChoice, string) {
			return keyChoice{kind: keyFile, text: writeFile(t, "key", text, 0o600)}, ""
		},
		"--key-file -": func(text string) (keyChoice, string) { return keyChoice{kind: keyStdin}, text },
		"EDGE_KEY": func(text string) (keyChoice, string) {
			return keyChoice{kind: keyEnvironment, text: text, from: "EDGE_KEY"}, ""
		},
		"a credential": func(text string) (keyChoice, string) {
			path := filepath.Join(credentials, "key")
			if err := os.WriteFile(path, []byte(text), 0o400); err != nil {
				t.Fatal(err)
			}
			return keyChoice{kind: keyCredential, text: path, from: "the credential"}, ""
		},
	}
	for from, source := range sources {
		for editor, text := range editors(community) {
			if from == "--key-file" {
				break // holds a passphrase alone
			}
			k, stdin := source(text)
			got, err := k.load(t.Context(), "real", strings.NewReader(stdin))
			if err != nil || got.ID() != want.ID() {
				t.Errorf("a community of %s by %s: %v", from, editor, err)
			}
			_ = os.Remove(filepath.Join(credentials, "key"))
		}
		for editor, text := range editors(passphrase) {
			if from == "--community-file" || from == "--key-exec" {
				break
			}
			k, stdin := source(text)
			if got, err := k.read(strings.NewReader(stdin)); got != "correct horse battery staple" || err != nil {
				t.Errorf("a passphrase of %s by %s: %q, %v", from, editor, got, err)
			}
			_ = os.Remove(filepath.Join(credentials, "key"))
		}
		if from == "--community-file" || from == "--key-exec" {
			continue
		}
		k, stdin := source(" s3cret\n")
		if got, err := k.read(strings.NewReader(stdin)); err == nil || !strings.Contains(err.Error(), "blanks") {
			t.Errorf("blanks around a passphrase of %s: %q, %v", from, got, err)
		}
		_ = os.Remove(filepath.Join(credentials, "key"))
	}
}
