package supernode

import "sync"

const (
	// walkStep is how many entries of a table a document looks at while it holds the
	// mutex: it takes as long as to relay a train, about 20 us.
	walkStep = 32
	// walkPage is how many entries a document looks at in all. A table is told in as many
	// documents as that takes, so that none is large.
	walkPage = 1024
)

// walker goes through a table for whoever wants to see it, in steps, between which
// packets are handled.
type walker struct {
	tables sync.Locker // guards the tables
	looked int         // entries in all; under tables
}

// walk looks at up to walkPage entries of a table, from the one before place from on to
// the first; 0 begins at the last. It returns from where the next walk goes on, 0 at the
// end. look is called with the mutex held, for walkStep entries at most, and reports what
// is to be told of one; tell is called without it.
//
// The last entry of a table takes the place of one that is removed. So each entry that
// stays for the whole time is looked at, perhaps twice, and one that came since may be.
func walk[E, R any](w *walker, table func() []E, from int, look func(E) (R, bool), tell func(R)) (next int) {
	told := make([]R, 0, walkStep)
	for looked := 0; looked < walkPage; {
		told = told[:0]
		w.tables.Lock()
		list := table()
		if from = min(from, len(list)); looked == 0 && from <= 0 {
			from = len(list)
		}
		for range walkStep {
			if from == 0 {
				break
			}
			from--
			looked++
			w.looked++
			if entry, ok := look(list[from]); ok {
				told = append(told, entry)
			}
		}
		w.tables.Unlock()
		for _, entry := range told {
			tell(entry)
		}
		if from == 0 {
			return 0
		}
	}
	return from
}
