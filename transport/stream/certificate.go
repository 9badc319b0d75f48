package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"
)

// A self-signed certificate is always valid, so that it does not depend on the
// clock.
var (
	validFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)
)

// SelfSigned returns a certificate whose key follows from a seed, so that a
// supernode has the same one after every start. The key is of P-256, which every
// TLS implementation accepts, unlike Ed25519. Its name means nothing: no edge
// trusts it (see the package comment).
func SelfSigned(seed [32]byte) (*tls.Certificate, error) {
	key, err := keyFrom(seed)
	if err != nil {
		return nil, fmt.Errorf("make the TLS key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		NotBefore:    validFrom,
		NotAfter:     validUntil,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	// Without a source of random bits the signature is deterministic (RFC 6979).
	der, err := x509.CreateCertificate(nil, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the TLS certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the TLS certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// keyFrom derives a key. A scalar must be below the order of the group, which one
// of 2^32 is not: then the next is tried.
func keyFrom(seed [32]byte) (key *ecdsa.PrivateKey, err error) {
	for try := range uint32(8) {
		info := binary.BigEndian.AppendUint32([]byte("hedgerow/1 tls key"), try)
		var scalar []byte
		if scalar, err = hkdf.Key(sha256.New, seed[:], nil, string(info), 32); err != nil {
			return nil, err
		}
		if key, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar); err == nil {
			return key, nil
		}
	}
	return nil, err
}
