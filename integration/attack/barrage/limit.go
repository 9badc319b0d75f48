package barrage

import (
	"crypto/ed25519"
	"time"
)

// limitNow returns the most processor time that a packet may take: a millisecond, or
// where everything is slow as long as some checks of signatures. It takes longer itself.
func limitNow() time.Duration { return max(perPacket, 20*signatureCheck()) * slower }

// signatureCheck returns what checking a signature costs here.
func signatureCheck() time.Duration {
	const tries = 10
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	signed, least := ed25519.Sign(private, nil), time.Hour
	for range tries {
		begun := processor()
		ed25519.Verify(public, nil, signed)
		least = min(least, processor()-begun)
	}
	return least
}
