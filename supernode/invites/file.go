package invites

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"hedgerow/internal/durable"
)

// FileName is the name of the file in the state directory.
const FileName = "invites.json"

const (
	fileVersion = 1
	maxFile     = 64 << 20 // bytes: more than MaxInvites with maxMembers uses take
)

// storedLedger is the file.
type storedLedger struct {
	Version int            `json:"version"`
	Invites []storedInvite `json:"invites"`
}

// storedInvite is an invite in the file. Bytes are hexadecimal, times unix seconds.
type storedInvite struct {
	Token     string      `json:"token"` // its hash
	Community string      `json:"community"`
	Name      string      `json:"name"` // its hash
	Made      int64       `json:"made"`
	Expires   int64       `json:"expires"`
	Uses      int         `json:"uses"`
	Used      []storedUse `json:"used"`
}

// storedUse is a use in the file.
type storedUse struct {
	Identity string `json:"identity"`
	At       int64  `json:"at"`
}

// Open reads the ledger. A damaged file is set aside, and said: what it held is lost, and
// is no reason not to start. It fails where the system does not let the file be read.
func Open(now time.Time, cfg Config) (*Ledger, error) {
	l := &Ledger{
		path: cfg.Path, log: cfg.Log, wake: make(chan struct{}, 1),
		byHash: make(map[[sha256.Size]byte]*entry), members: make(map[edge]*entry),
	}
	if l.path == "" {
		return l, nil
	}
	b, err := durable.Read(l.path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = l.parse(b)
	}
	if !errors.Is(err, durable.ErrDamaged) {
		return l, err
	}
	why := err
	if l.aside, err = durable.SetAside(l.path, now, why); err != nil {
		return nil, err
	}
	l.log.Warn("the stored invites are damaged and were set aside: who came by one is let in no more, unless it is allowed otherwise", "file", l.path, "aside", l.aside, "err", why)
	return l, nil
}

// Check reads the content of a file, and returns how many invites it holds; nil holds none.
func Check(content []byte) (n int, err error) {
	l := Ledger{byHash: make(map[[sha256.Size]byte]*entry), members: make(map[edge]*entry)}
	if content == nil {
		return 0, nil
	}
	err = l.parse(content)
	return len(l.entries), err
}

// Content returns what the file holds when everything has been written; nil: nothing.
func (l *Ledger) Content() ([]byte, error) {
	l.mu.Lock()
	list := l.list()
	l.mu.Unlock()
	if len(list) == 0 {
		return nil, nil
	}
	return encode(list)
}

// parse enters what a file holds, or nothing.
func (l *Ledger) parse(b []byte) error {
	var file storedLedger
	if err := json.Unmarshal(b, &file); err != nil {
		return fmt.Errorf("%w: %w", durable.ErrDamaged, err)
	}
	if file.Version != fileVersion || len(file.Invites) > MaxInvites {
		return fmt.Errorf("%w: version %d with %d invites", durable.ErrDamaged, file.Version, len(file.Invites))
	}
	list, ids, members := make([]*entry, 0, len(file.Invites)), make(map[string]bool), 0
	for i := range file.Invites {
		e, err := file.Invites[i].entry()
		if err != nil {
			return err
		}
		if members += len(e.used); members > maxMembers || ids[e.id] {
			return fmt.Errorf("%w: %d uses, or the invite %s twice", durable.ErrDamaged, members, e.id)
		}
		ids[e.id] = true
		list = append(list, e)
	}
	for _, e := range list {
		l.add(e)
	}
	return nil
}

// entry reads one invite.
func (s *storedInvite) entry() (*entry, error) {
	e := &entry{community: s.Community, made: time.Unix(s.Made, 0).UTC(), expires: time.Unix(s.Expires, 0).UTC(), uses: s.Uses}
	if !digits(e.hash[:], s.Token) || !digits(e.nameHash[:], s.Name) || s.Uses < 1 || s.Uses > MaxUses || len(s.Used) > s.Uses {
		return nil, fmt.Errorf("%w: an invite to %q", durable.ErrDamaged, s.Community)
	}
	e.id = hex.EncodeToString(e.hash[:idLen])
	seen := make(map[[32]byte]bool, len(s.Used))
	for _, stored := range s.Used {
		u := use{at: time.Unix(stored.At, 0).UTC()}
		if !digits(u.identity[:], stored.Identity) || seen[u.identity] {
			return nil, fmt.Errorf("%w: a use of an invite to %q", durable.ErrDamaged, s.Community)
		}
		seen[u.identity] = true
		e.used = append(e.used, u)
	}
	return e, nil
}

// digits reads as many bytes as there is room for, and reports whether there were as many.
func digits(dst []byte, text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && copy(dst, b) == len(b) && len(b) == len(dst)
}

// store returns an invite as it stands in the file.
func (e *entry) store() storedInvite {
	s := storedInvite{
		Token: hex.EncodeToString(e.hash[:]), Community: e.community, Name: hex.EncodeToString(e.nameHash[:]),
		Made: e.made.Unix(), Expires: e.expires.Unix(), Uses: e.uses, Used: make([]storedUse, 0, len(e.used)),
	}
	for _, u := range e.used {
		s.Used = append(s.Used, storedUse{Identity: hex.EncodeToString(u.identity[:]), At: u.at.Unix()})
	}
	return s
}

// Save writes what is not on the disk yet. Where Redeem, Create and Remove are not called
// any more, Run writes nothing after it, and the file may be another process's.
func (l *Ledger) Save() error { return l.save() }

// save writes what is not on the disk yet.
func (l *Ledger) save() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	list, version, needed := l.snapshot()
	if !needed {
		return nil
	}
	err := l.write(list)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.saved = version
	}
	if err != nil {
		if l.failure == nil {
			l.log.Error("invites cannot be written: nobody is let in by a new one until they can", "file", l.path, "err", err)
		}
		l.wakeUp() // Run tries again
	}
	l.failure = err
	return err
}

// snapshot returns the invites as they are now, and whether they have to be written.
func (l *Ledger) snapshot() (list []entry, version uint64, needed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		l.saved = l.version
	}
	if l.saved == l.version {
		return nil, l.version, false
	}
	return l.list(), l.version, true
}

// list returns the invites as they are now. The caller holds l.mu.
func (l *Ledger) list() (list []entry) {
	for _, e := range l.entries {
		list = append(list, *e)
	}
	return list
}

// write replaces the file.
func (l *Ledger) write(list []entry) error {
	b, err := encode(list)
	if err != nil {
		return err
	}
	return durable.Replace(l.path, b, 0o600)
}

// encode returns the file of some invites.
func encode(list []entry) ([]byte, error) {
	file := storedLedger{Version: fileVersion, Invites: make([]storedInvite, 0, len(list))}
	for i := range list {
		file.Invites = append(file.Invites, list[i].store())
	}
	return json.Marshal(&file)
}
