package bridge

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/protocol"
)

// Two LANs can be one in a VLAN alone: a cable, or a trunk, carries that VLAN and no other.
// Then a loop is in that VLAN, and a probe without a tag does not find it. So a bridge
// sends each probe again in the VLANs that it has heard its hosts in.
const (
	// maxTagged is how many copies of a probe are sent.
	maxTagged = 16
	// maxMeeting of them go where another bridge was heard lately, so that it goes on
	// hearing us. The others take turns, if hosts use more VLANs.
	maxMeeting = 4
	meetingAge = int64(10 * time.Second)
	tagAge     = int64(150 * time.Second) // a VLAN counts for one to two of these after its last frame
)

// tagCount is how many tags there are: VLAN identifiers of the two types.
const tagCount = 2 * 4096

// Tag is a VLAN tag without its priority: 0x8100 or 0x88a8, and the VLAN identifier.
type Tag struct{ Type, VLAN uint16 }

// TagOf returns the outermost tag of a valid frame. One that says no more than a priority
// is none.
func TagOf(f protocol.Frame) (tag Tag, ok bool) {
	if tag.Type = binary.BigEndian.Uint16(f[protocol.EthernetLen-2:]); !protocol.IsTag(tag.Type) {
		return Tag{}, false
	}
	if tag.VLAN = binary.BigEndian.Uint16(f[protocol.EthernetLen:]) & 0x0fff; tag.VLAN == 0 || tag.VLAN == 0x0fff {
		return Tag{}, false
	}
	return tag, true
}

func (t Tag) index() int {
	if t.Type == protocol.EtherTypeQinQ {
		return 4096 + int(t.VLAN)
	}
	return int(t.VLAN)
}

func tagAt(index int) Tag {
	if index >= 4096 {
		return Tag{protocol.EtherTypeQinQ, uint16(index - 4096)}
	}
	return Tag{protocol.EtherTypeVLAN, uint16(index)}
}

// Tags are those in which a bridge has heard its hosts. The queues note them, and the
// control loop asks in which it sends probes.
type Tags struct {
	young, old [tagCount / 64]atomic.Uint64

	mu      sync.Mutex
	aged    int64
	next    int           // index of the tag whose turn it is
	meeting map[Tag]int64 // in which another bridge was heard, and when
}

// Note notes a frame of a host.
func (t *Tags) Note(tag Tag) {
	i := tag.index()
	if word, bit := &t.young[i/64], uint64(1)<<(i%64); word.Load()&bit == 0 {
		word.Or(bit)
	}
}

// Met notes that another bridge was heard with a tag.
func (t *Tags) Met(now int64, tag Tag) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.meeting == nil {
		t.meeting = make(map[Tag]int64)
	}
	if _, known := t.meeting[tag]; known || len(t.meeting) < maxMeeting {
		t.meeting[tag] = now
	}
}

// Next returns the tags that the next probe is sent with.
func (t *Tags) Next(now int64) (list []Tag) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now-t.aged >= tagAge {
		t.aged = now
		for i := range t.young {
			t.old[i].Store(t.young[i].Swap(0))
		}
	}
	for tag, at := range t.meeting {
		if now-at > meetingAge {
			delete(t.meeting, tag)
			continue
		}
		list = append(list, tag)
	}
	first := t.next
	for n := range tagCount {
		i := (first + n) % tagCount
		if (t.young[i/64].Load()|t.old[i/64].Load())>>(i%64)&1 == 0 || slices.Contains(list, tagAt(i)) {
			continue
		}
		if len(list) == maxTagged {
			t.next = i
			return list
		}
		list = append(list, tagAt(i))
	}
	return list
}
