package stream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSelfSigned(t *testing.T) {
	var made []*tls.Certificate
	for _, seed := range [][32]byte{{1}, {1}, {2}} {
		c, err := SelfSigned(seed)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, c)
	}
	if !bytes.Equal(made[0].Certificate[0], made[1].Certificate[0]) || bytes.Equal(made[0].Certificate[0], made[2].Certificate[0]) {
		t.Error("the certificate does not follow from the seed alone")
	}
	leaf := made[0].Leaf
	if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
		t.Error(err)
	}
	if !leaf.PublicKey.(*ecdsa.PublicKey).Equal(made[0].PrivateKey.(*ecdsa.PrivateKey).Public()) {
		t.Error("another key")
	}
}

// writeCertificate writes the certificate of a seed to two files, changed at a
// time of their own.
func writeCertificate(t *testing.T, certificate, key string, seed byte, changed time.Time) {
	t.Helper()
	c, err := SelfSigned([32]byte{seed})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
}

// A certificate and its key are read whatever an editor of Windows has made of the files.
func TestCertificateOfAnyEditor(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1, time.Unix(1, 0))
	for _, path := range []string{cert, key} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = append([]byte("\ufeff"), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))...)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := LoadCertificate(cert, key, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

// TestReload has the files change under way: they are looked at every 10 s, and a
// fault leaves the certificate as it was and is said once.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		writeCertificate(t, cert, key, 1, time.Unix(1, 0))
		f, err := LoadCertificate(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		serving := func() byte {
			c, err := f.Certificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			for seed := range byte(5) {
				if of, _ := SelfSigned([32]byte{seed}); bytes.Equal(of.Certificate[0], c.Certificate[0]) {
					return seed
				}
			}
			return 255
		}
		steps := []struct {
			change func()
			want   byte
		}{
			{func() {}, 1},
			{func() { writeCertificate(t, cert, key, 2, time.Unix(2, 0)) }, 1}, // too early to look
			{func() { time.Sleep(reloadTime) }, 2},
			{func() { _ = os.WriteFile(cert, []byte("half"), 0o600); time.Sleep(reloadTime) }, 2},
			{func() { time.Sleep(reloadTime) }, 2},
			{func() { _ = os.Remove(key); time.Sleep(reloadTime) }, 2},
			{func() { writeCertificate(t, cert, key, 3, time.Unix(3, 0)); time.Sleep(reloadTime) }, 3},
		}
		for i, step := range steps {
			if step.change(); serving() != step.want {
				t.Errorf("step %d: %d, want %d", i, serving(), step.want)
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings: %s", n, log.String())
		}
		if n := strings.Count(log.String(), "was read again"); n != 2 {
			t.Errorf("%d reloads: %s", n, log.String())
		}
	})
}

func TestLoadCertificateErrors(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	other, otherKey := filepath.Join(dir, "other.pem"), filepath.Join(dir, "otherkey.pem")
	writeCertificate(t, cert, key, 1, time.Now())
	writeCertificate(t, other, otherKey, 2, time.Now())
	for _, tt := range []struct{ cert, key, want string }{
		{filepath.Join(dir, "none"), key, "no such file"},
		{cert, filepath.Join(dir, "none"), "no such file"},
		{cert, otherKey, "does not match"},
		{key, cert, "cannot use the TLS certificate"},
	} {
		if _, err := LoadCertificate(tt.cert, tt.key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %s: %v", tt.cert, tt.key, err)
		}
	}
}
