package password

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
)

func TestHash(t *testing.T) {
	hash, err := Hash("correct horse", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if Valid(hash) != nil || !Check(hash, "correct horse") || Check(hash, "correct house") || Check(hash, "") {
		t.Errorf("%s is not the hash of one password alone", hash)
	}
	if again, _ := Hash("correct horse", rand.Reader); again == hash {
		t.Error("two hashes have one salt")
	}
	if _, err := Hash("x", strings.NewReader("short")); err == nil {
		t.Error("a hash without a salt")
	}
}

// A hash of another program with other parameters is taken.
func TestOthersHash(t *testing.T) {
	encode := base64.RawStdEncoding.EncodeToString
	hash := "$argon2id$v=19$m=64,t=3,p=2$" + encode([]byte("somesalt")) + "$" + encode(argon2.IDKey([]byte("password"), []byte("somesalt"), 3, 64, 2, 24))
	if !Check(hash, "password") || Check(hash, "Password") {
		t.Error(hash)
	}
}

func TestNoHash(t *testing.T) {
	good := "$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
	if err := Valid(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", "password", "$", good + "$", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=64", "m=64000000", 1), strings.Replace(good, "m=64", "m=15", 1), strings.Replace(good, "t=3", "t=0", 1),
		strings.Replace(good, "t=3", "t=4294967295", 1), strings.Replace(good, "p=2", "p=0", 1), strings.Replace(good, "p=2", "p=256", 1),
		strings.Replace(good, ",p=2", "", 1), strings.Replace(good, ",p=2", ",p=2,p=2", 1), strings.Replace(good, "c29t", "", 1), strings.Replace(good, "c29t", "!", 1),
		good + strings.Repeat("A", 100), strings.Replace(good, "AAAAAAAAAAAAAAAA", "", 1), strings.Replace(good, "m=64", "t=64", 1),
	} {
		if Valid(bad) == nil || Check(bad, "") {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzValid(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := parse(text); err == nil && (h.memory > mostMemory || h.passes > mostPasses || len(h.sum) == 0) {
			t.Errorf("%q is taken", text)
		}
	})
}
