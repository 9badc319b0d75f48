package barrage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// toy is a stage with one fault, which shows when a move of 0xbb comes after three of
// 0xaa.
type toy struct {
	fault string
	seen  int
	kept  [][]byte
	ended *int
}

var errToy = errors.New("it does not hold")

func (s *toy) Move(t *Tape) int {
	switch c := t.Byte(); {
	case c == 0xaa:
		s.seen++
	case c != 0xbb || s.seen < 3:
	case s.fault == "panic":
		panic("toy")
	case s.fault == "slow":
		for begun, most := processor(), 3*limitNow(); processor()-begun < most; {
		}
	case s.fault == "hang":
		for begun := processor(); processor()-begun < hungAfter/4; {
		}
	}
	if s.fault == "memory" {
		s.kept = append(s.kept, make([]byte, 10_000))
	}
	return 1
}

func (s *toy) Check() error {
	if s.fault == "check" && s.seen > 3 {
		return errToy
	}
	return nil
}

func (s *toy) Verify() error {
	if s.fault == "verify" && s.seen > 3 {
		return errToy
	}
	return nil
}

func (s *toy) End() { *s.ended++ }

// targetOf is stages with a fault.
func targetOf(fault string) (g Target, ended *int) {
	ended = new(int)
	return func(testing.TB, uint64) Stage { return &toy{fault: fault, ended: ended} }, ended
}

// Each kind of fault is found, by the same script whenever it is played, and none where
// there is none.
func TestFaultsAreFound(t *testing.T) {
	for fault, want := range map[string]string{
		"": "", "panic": "panic: toy", "slow": "of processor time", "check": errToy.Error(), "verify": errToy.Error(), "memory": "it keeps",
	} {
		g, ended := targetOf(fault)
		dog := newWatchdog(hungAfter*slower, hung)
		defer dog.end()
		p, err := g.drawn(t, dog, heapEvery, nil)
		if want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: found %v", fault, err)
		}
		if *ended != p.count.Stages && fault != "slow" {
			t.Errorf("%q: %d stages, %d have ended", fault, p.count.Stages, *ended)
		}
		if fault == "" && (p.count.Moves < movesOfStage || p.count.Packets != p.count.Moves) {
			t.Errorf("counted %v", p.count)
		}
		if fault != "panic" && fault != "check" {
			continue
		}
		short, err := g.shortened(t, dog, &p.script)
		if err == nil || len(short.Inputs) > 4 {
			t.Errorf("%q: shortened to %d inputs of %d: %v", fault, len(short.Inputs), len(p.script.Inputs), err)
		}
		again, err := parseScript(short.text())
		if err != nil || again.Seed != heapEvery || g.replay(t, dog, again) == nil {
			t.Errorf("%q: the script is read as %+v, %v", fault, again, err)
		}
	}
}

// A move that does not end is told of with its script, and one that takes long once is no
// fault.
func TestHang(t *testing.T) {
	g, _ := targetOf("hang")
	told := make(chan int, 10)
	dog := newWatchdog(hungAfter/10, func(p *player) { told <- len(p.script.Inputs) })
	defer dog.end()
	p := &player{limit: limitNow()}
	dog.watch(p)
	g.inBubble(t, 1, p, func(p *player) { _ = p.play([]byte{0xaa, 0xaa, 0xaa, 0xbb}) })
	if len(told) == 0 {
		t.Error("nobody was told")
	}
}

// A move that took too long once is none when it is played again.
func TestSlowOnce(t *testing.T) {
	g, _ := targetOf("")
	dog := newWatchdog(hungAfter*slower, hung)
	defer dog.end()
	p, err := g.drawn(t, dog, 1, nil)
	p.slow, p.count.Suspects = []int{5, 3000}, 0
	if err == nil {
		err = g.again(t, dog, p)
	}
	if err != nil || p.count.Suspects != 2 {
		t.Errorf("%v: %v", err, p.count)
	}
}

func TestTape(t *testing.T) {
	tape := NewTape([]byte{7, 9, 0xff, 1, 2, 3, 4})
	if got := [...]uint64{uint64(tape.Byte()), tape.Number(), tape.Number()}; got != [...]uint64{7, 1<<32 - 1, 0x102} {
		t.Errorf("read %v", got)
	}
	if b := tape.Bytes(5); !bytes.Equal(b, []byte{3, 4}) || tape.Byte() != 0 || tape.Number() != 0 || tape.Len() != 0 {
		t.Errorf("read %v at the end", b)
	}
}

func TestCorpus(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "go test fuzz v1\n[]byte(\"x\\x00\\xff\")\n")
	got, err := inputsIn(folder)
	if err != nil || len(got) != 1 || string(got[0]) != "x\x00\xff" {
		t.Errorf("%q %v", got, err)
	}
	write("b", "go test fuzz v1\nint(7)\n")
	if _, err := inputsIn(folder); err == nil {
		t.Error("a number is taken for an input")
	}
	if got, err := inputsIn(filepath.Join(folder, "none")); err != nil || len(got) != 0 {
		t.Errorf("%q %v of no folder", got, err)
	}
}
