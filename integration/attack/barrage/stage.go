package barrage

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
)

// Stage is a program with hostile ends around it. All its methods are called in one
// bubble (testing/synctest) and by one goroutine.
type Stage interface {
	// Move does what the tape says next, and returns how many packets came of it that
	// authenticated and that the program acted on.
	Move(t *Tape) (packets int)
	// Check returns what does not hold though it has to after every move. It is cheap.
	Check() error
	// Verify is Check for whatever costs more.
	Verify() error
	// End ends the program and whatever runs beside it, also after Move has panicked.
	End()
}

// Target makes a stage, which depends on the seed and on nothing else. The tests of its
// package that have it played to are FuzzBarrage and TestBarrage.
type Target func(tb testing.TB, seed uint64) Stage

// What a stage is held to.
const (
	movesOfStage = 4000             // it is given up then
	movesOfInput = 16               // the rest of an input is not read
	verifyEvery  = 64               // moves
	perPacket    = time.Millisecond // of processor time; more on a machine that is slow at signatures
	// withoutPacket is what a move may take of which no packet comes: time passes, or
	// there is a handshake.
	withoutPacket = 50 * time.Millisecond
	hungAfter     = 10 * time.Second // processor time of one move
)

// Count is what was played.
type Count struct {
	Stages, Inputs, Moves int
	Packets               int // that authenticated and were acted on
	Suspects              int // moves that took too long once, and not again
}

func (c *Count) add(d Count) {
	c.Stages, c.Inputs, c.Moves = c.Stages+d.Stages, c.Inputs+d.Inputs, c.Moves+d.Moves
	c.Packets, c.Suspects = c.Packets+d.Packets, c.Suspects+d.Suspects
}

// String returns the figures with their names.
func (c Count) String() string {
	return fmt.Sprintf("%d packets in %d moves of %d inputs to %d stages, %d moves looked at again", c.Packets, c.Moves, c.Inputs, c.Stages, c.Suspects)
}

// player plays inputs to one stage.
type player struct {
	stage  Stage
	script Script
	count  Count
	limit  time.Duration         // of one packet
	slow   []int                 // moves that took too long
	wanted map[int]time.Duration // by how much these moves took too long at least; nil: of none it is wanted
	begun  atomic.Int64          // processor time when the move at hand began; 0: none is
}

// play plays one input, and returns what does not hold any more.
func (p *player) play(in []byte) error {
	p.script.Inputs = append(p.script.Inputs, in)
	p.count.Inputs++
	tape := NewTape(in)
	for n := 0; n < movesOfInput && tape.Len() > 0; n++ {
		if err := p.move(tape); err != nil {
			return fmt.Errorf("input %d, move %d of %d: %w", len(p.script.Inputs), n+1, p.count.Moves, err)
		}
	}
	return nil
}

// took notes how much more the move at hand has taken than it may.
func (p *player) took(spent time.Duration, packets int) {
	over := spent - p.limit*time.Duration(packets)
	if packets == 0 {
		over = spent - withoutPacket*slower
	}
	if before, ok := p.wanted[p.count.Moves]; ok {
		p.wanted[p.count.Moves] = min(before, over)
	} else if over > 0 {
		p.slow = append(p.slow, p.count.Moves)
	}
}

// move has the stage make one move, and checks it.
func (p *player) move(tape *Tape) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
		p.begun.Store(0)
	}()
	tape.others = 0
	begun := processor()
	p.begun.Store(int64(begun))
	packets := p.stage.Move(tape)
	p.took(processor()-begun-tape.others, packets)
	p.count.Moves, p.count.Packets = p.count.Moves+1, p.count.Packets+packets
	if err := p.stage.Check(); err != nil {
		return err
	}
	if p.count.Moves%verifyEvery == 0 {
		return p.stage.Verify()
	}
	return nil
}
