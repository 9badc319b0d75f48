package stream

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/internal/textfile"
)

// reloadTime is how often the files of a certificate are looked at.
const reloadTime = 10 * time.Second

// CertificateFiles are a certificate and its key in two PEM files, which are read
// again when they have changed: a renewed certificate needs no restart.
type CertificateFiles struct {
	certificate, key string
	log              *slog.Logger

	current atomic.Pointer[tls.Certificate]
	looked  atomic.Int64 // unix nanoseconds of the last look at the files

	reading sync.Mutex // held while the files are looked at; guards what follows
	state   filesState
	failing bool // the last try to read them failed
}

// filesState tells one state of both files from another.
type filesState struct {
	certificate, key fileState
}

type fileState struct {
	changed time.Time
	size    int64
}

// LoadCertificate reads a certificate, followed by its intermediate ones, and
// its key. The error names the files and the fault. Later faults are warnings in
// log, one for each, and the certificate stays as it is.
func LoadCertificate(certificate, key string, log *slog.Logger) (*CertificateFiles, error) {
	f := &CertificateFiles{certificate: certificate, key: key, log: log}
	f.looked.Store(time.Now().UnixNano())
	var err error
	if f.state, err = f.stat(); err != nil {
		return nil, err
	}
	c, err := f.read()
	if err != nil {
		return nil, err
	}
	f.current.Store(c)
	return f, nil
}

// Certificate returns the certificate for a handshake. It looks at the files
// when it last did so 10 s ago; concurrent callers get the present certificate.
func (f *CertificateFiles) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	looked, now := f.looked.Load(), time.Now().UnixNano()
	if now-looked >= int64(reloadTime) && f.looked.CompareAndSwap(looked, now) {
		f.reload()
	}
	return f.current.Load(), nil
}

// reload reads the files if they are other ones than before. Two files do not
// change in one moment, so a pair that does not fit is tried again later.
func (f *CertificateFiles) reload() {
	f.reading.Lock()
	defer f.reading.Unlock()
	state, err := f.stat()
	if err == nil && state == f.state {
		return
	}
	var c *tls.Certificate
	if err == nil {
		c, err = f.read()
	}
	if err != nil {
		if !f.failing {
			f.log.Warn("the TLS certificate cannot be read again and stays as it was", "error", err)
		}
		f.failing = true
		return
	}
	f.current.Store(c)
	f.state, f.failing = state, false
	f.log.Info("the TLS certificate was read again", "file", f.certificate)
}

// stat returns the state of the files.
func (f *CertificateFiles) stat() (s filesState, err error) {
	if s.certificate, err = stat(f.certificate); err != nil {
		return s, err
	}
	s.key, err = stat(f.key)
	return s, err
}

func stat(path string) (fileState, error) {
	i, err := os.Stat(path)
	if err != nil {
		return fileState{}, fmt.Errorf("cannot read the TLS certificate: %w", err)
	}
	return fileState{changed: i.ModTime(), size: i.Size()}, nil
}

// read reads both files.
func (f *CertificateFiles) read() (*tls.Certificate, error) {
	c, err := f.pair()
	if err != nil {
		return nil, fmt.Errorf("cannot use the TLS certificate %s with the key %s: %w", f.certificate, f.key, err)
	}
	return &c, nil
}

func (f *CertificateFiles) pair() (tls.Certificate, error) {
	certificate, err := readPEM(f.certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readPEM(f.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

// readPEM reads a PEM file. A byte-order mark before the first line would hide it; what is
// between the certificates may be anything (RFC 7468, section 2).
func readPEM(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if text, err := textfile.Decode(b); err == nil {
		return []byte(text), nil
	}
	return b, nil
}
