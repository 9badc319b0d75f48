package supernode

import "sync"

// recordsAtOnce is how many registrations are gathered for the disk in one go.
const recordsAtOnce = 256

// records are all registrations as they are stored.
type records struct {
	tables   *sync.Mutex
	registry *registry
}

// each calls f with the record of every registration until it returns false. It goes from
// the end to the beginning, since a removed one is replaced by the last. What comes or
// changes meanwhile is noted by whoever changes it.
func (l *records) each(f func(key recordKey, record []byte) bool) {
	l.tables.Lock()
	at := len(l.registry.all)
	l.tables.Unlock()
	var some [recordsAtOnce]struct {
		key    recordKey
		record []byte
	}
	for at > 0 {
		n := 0
		l.tables.Lock()
		for at = min(at, len(l.registry.all)); at > 0 && n < len(some); at-- {
			r := l.registry.all[at-1]
			some[n].key, some[n].record = r.key(), r.record()
			n++
		}
		l.tables.Unlock()
		for i := range some[:n] {
			if !f(some[i].key, some[i].record) {
				return
			}
		}
	}
}
