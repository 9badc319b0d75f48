package handover

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// variable tells the test program that it is a successor.
const variable = "HANDOVER_TEST"

// The arguments of a successor: how it behaves, and for how long it thinks.
const (
	takes    = "takes"    // over as it should
	refuses  = "refuses"  // after it was ready
	exits    = "exits"    // at once
	hangs    = "hangs"    // at once
	ready    = "ready"    // and then nothing
	dies     = "dies"     // when it has the state
	babbles  = "babbles"  // something else
	newer    = "newer"    // speaks another version
	thinking = "thinking" // before it says that it has taken over
)

func TestMain(m *testing.M) {
	if names := os.Getenv(variable); names != "" && len(os.Args) > 2 {
		succeed(names, os.Args[1], os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// succeed is the successor. What it does once it serves it writes into the file that it
// inherits.
func succeed(names, behaviour, think string) {
	switch behaviour {
	case exits:
		os.Exit(7)
	case hangs:
		time.Sleep(time.Minute) // not a deadlock, which the runtime ends
	}
	p, err := Inherit(names)
	if err != nil {
		panic(err)
	}
	defer p.CloseFiles()
	out := p.Take("out")
	switch behaviour {
	case babbles:
		_ = send(p.conn, kindTaken, nil)
		return
	case newer:
		_ = send(p.conn, kindReady, []byte{0, version + 1})
		time.Sleep(time.Minute)
	}
	state, err := p.State("1.2.3")
	if err != nil {
		panic(err)
	}
	switch behaviour {
	case ready:
		time.Sleep(time.Minute)
	case dies:
		os.Exit(8)
	case refuses:
		p.Fail(errors.New("there is no room"))
		return
	case thinking:
		pause, _ := time.ParseDuration(think)
		time.Sleep(pause)
	}
	if p.Taken() != nil {
		return
	}
	<-p.LetGo()
	_, _ = out.Write(append([]byte("serves with "), state...))
}

// offer returns what a successor is offered, and the file that it writes to.
func offer(t *testing.T, silence time.Duration, behaviour, think string) (Offer, *os.File) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return Offer{
		Binary: self, Args: []string{"successor", behaviour, think}, Variable: variable, Silence: silence,
		Files: []Named{{"other", out}, {"out", out}},
	}, out
}

// said returns what a successor has written.
func said(t *testing.T, out *os.File) string {
	t.Helper()
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSuccessorTakesOver gives a long state to a successor, which serves with it, and not
// before this process has let go.
func TestSuccessorTakesOver(t *testing.T) {
	o, out := offer(t, time.Minute, takes, "")
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	state := bytes.Repeat([]byte("state "), 200_000)
	if err := s.Give(state); err != nil || s.Release != "1.2.3" {
		t.Fatal(s.Release, err)
	}
	if got := said(t, out); got != "" {
		t.Errorf("before this process has let go: %.40q", got)
	}
	s.LetGo()
	<-s.ended
	if got := said(t, out); got != "serves with "+string(state) || s.outcome != nil {
		t.Errorf("%d bytes, %v", len(got), s.outcome)
	}
}

// TestSuccessorFails has successors fail in every way. Each is named, none is left, and
// none has served.
func TestSuccessorFails(t *testing.T) {
	for behaviour, says := range map[string]string{
		exits:   "ended before it was ready (exit status 7)",
		hangs:   "has said nothing for 1s before it was ready, and was ended",
		babbles: "does not speak as a successor does",
		newer:   "speaks version 2 of the hand-over, and this process version 1: it needs a restart",
		ready:   "has said nothing for 1s when it was to take over, and was ended",
		dies:    "ended when it was to take over (exit status 8)",
		refuses: "cannot take over: there is no room",
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			silence := time.Minute
			if behaviour == hangs {
				silence = time.Second
			}
			o, out := offer(t, silence, behaviour, "")
			s, err := Start(o)
			if err == nil {
				if behaviour == ready { // to start it takes what it takes
					s.offer.Silence = time.Second
				}
				err = s.Give([]byte("state"))
				<-s.ended
			}
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
			if got := said(t, out); got != "" {
				t.Errorf("it has served: %q", got)
			}
		})
	}
	for text, says := range map[string]string{"no program": "exec format error", "": "no such file or directory"} {
		path := filepath.Join(t.TempDir(), "program")
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Start(Offer{Binary: path, Args: []string{path}, Variable: variable, Silence: time.Minute}); err == nil || !strings.HasSuffix(err.Error(), "cannot be started: "+says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// TestExactlyOneServes has successors say that they have taken over just when this process
// stops to wait for it: it goes on if, and only if, they do not serve.
func TestExactlyOneServes(t *testing.T) {
	const silence = 300 * time.Millisecond
	served := 0
	for i := range 12 {
		think := silence - 10*time.Millisecond + time.Duration(i)*time.Millisecond
		o, out := offer(t, time.Minute, thinking, think.String())
		s, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		s.offer.Silence = silence
		err = s.Give([]byte("state"))
		s.LetGo()
		<-s.ended
		if serves := said(t, out) != ""; serves != (err == nil) {
			t.Fatalf("after %v the successor serves: %v; the predecessor knows of %v", think, serves, err)
		}
		if err == nil {
			served++
		}
	}
	t.Logf("%d of 12 have served", served)
}

// TestMessages reads messages that are cut, too long, or none.
func TestMessages(t *testing.T) {
	var b bytes.Buffer
	if err := send(&b, kindState, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(b.Bytes())
	if kind, body, err := receive(&b); kind != kindState || string(body) != "abc" || err != nil {
		t.Errorf("%d, %q, %v", kind, body, err)
	}
	for n := range whole {
		if _, _, err := receive(bytes.NewReader(whole[:n])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, long := range [][]byte{{kindState, 0x40, 0, 0, 1}, {kindReady, 0, 0, 0x10, 1}, {99, 0xff, 0xff, 0xff, 0xff}} {
		if _, _, err := receive(bytes.NewReader(long)); !errors.Is(err, errLong) {
			t.Errorf("%x: %v", long, err)
		}
	}
	if _, err := Inherit(strings.Repeat("a,", filesMost)); err == nil {
		t.Error("too many files are inherited")
	}
}
