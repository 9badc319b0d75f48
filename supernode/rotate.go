package supernode

import (
	"errors"
	"fmt"
	"strings"

	"hedgerow/crypto"
	"hedgerow/internal/format"
	"hedgerow/internal/handover"
)

// Errors of Rotate and EndRotation.
var (
	// ErrRotated says that a former key answers already.
	ErrRotated = errors.New("the key before this one still answers")
	// ErrNotRotated says that there is no former key.
	ErrNotRotated = errors.New("there is no former key")
	// ErrFormerUsed says that edges still use the former key.
	ErrFormerUsed = errors.New("the former key is in use")
)

// Rotate gives this supernode a new key, durably. The one before answers as well until
// EndRotation; edges that know us by that are told, go over without losing a frame, and
// keep the new one. It fails with ErrRotated while there is a former key already, and says
// why if nothing was changed.
func (s *Server) Rotate() error {
	if !s.sockets.gate.Enter() {
		return handover.ErrHandedOver
	}
	defer s.sockets.gate.Leave()
	d := s.controls.rotation
	d.changing.Lock()
	defer d.changing.Unlock()
	s.mu.Lock()
	from, former, now := s.sockets.keys.own, s.sockets.keys.former, s.cfg.Now()
	serial := max(uint64(max(now.UnixMilli(), 1)), d.file.serial+1)
	s.mu.Unlock()
	switch {
	case d.files.dir == "":
		return errors.New("this supernode keeps nothing, so it would not know a new key at its next start")
	case former != nil:
		return ErrRotated
	}
	to, err := crypto.GenerateIdentity(s.cfg.Rand)
	if err != nil {
		return err
	}
	file, err := d.files.rotate(serial, from.identity, to)
	if err != nil {
		return fmt.Errorf("the key stays as it is, since a new one cannot be kept: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.file = file
	s.sockets.keys.rotate(s.strangers.handshakes.newKey(to), serial)
	s.strangers.greeter.key = to.Static
	s.store.replaceKept(d.secrets())
	d.begin(now)
	s.cfg.Log.Info("this supernode has a new key, and the one before answers as well", "key", KeyText(to.Static), "former", KeyText(from.identity.Static))
	return nil
}

// EndRotation ends the use of the former key, and removes it from the disk. While edges use
// it, it fails with ErrFormerUsed and says which, unless force: then their sessions
// end, and those that do not know the new key find this supernode no more.
func (s *Server) EndRotation(force bool) error {
	if !s.sockets.gate.Enter() {
		return handover.ErrHandedOver
	}
	defer s.sockets.gate.Leave()
	d := s.controls.rotation
	d.changing.Lock()
	defer d.changing.Unlock()
	s.mu.Lock()
	former := s.sockets.keys.former
	s.mu.Unlock()
	if former == nil {
		return ErrNotRotated
	}
	if old, _ := d.users(&s.health.listing.walker); old.n > 0 && !force {
		return fmt.Errorf("%w by %s: %s", ErrFormerUsed, format.Count(old.n, "edge"), old.text())
	}
	file := d.file
	file.seed = [32]byte{}
	if err := d.files.keepRotation(&file); err != nil {
		_ = d.files.keepRotation(&d.file) // it may be in its place, and not for sure
		return fmt.Errorf("the former key answers as before, since its end cannot be kept: %w", err)
	}
	if left := d.files.removeAside(former.identity.Seed); len(left) > 0 {
		s.cfg.Log.Warn("files that were set aside have the former key and cannot be removed: remove them", "files", left)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.file = file
	s.sockets.keys.retire()
	s.store.replaceKept(d.secrets())
	s.cfg.Log.Info("the former key answers no more, and is removed from the disk", "former", KeyText(former.identity.Static))
	return nil
}

// text names some of the edges.
func (b *byFormer) text() string {
	text := strings.Join(b.some, ", ")
	if more := b.n - len(b.some); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
