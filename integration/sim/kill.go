package sim

import (
	"os"
	"path/filepath"
	"testing/synctest"
)

// Kill ends the supernode as SIGKILL does: nothing more is sent, and the state
// directory is as it was at that moment. Only for synctest bubbles.
func (s *Supernode) Kill() {
	synctest.Wait()
	restore := s.world.snapshot(s.dir)
	s.conn.Close()
	<-s.done
	*s.err = nil
	restore()
}

// Kill ends the edge as SIGKILL does: without a good-bye, and the state
// directory is as it was at that moment. Only for synctest bubbles.
func (e *Edge) Kill() {
	synctest.Wait()
	restore := e.world.snapshot(e.dir)
	e.conn.Close()
	e.Device.Close()
	e.leave()
	<-e.done
	*e.err = nil
	restore()
}

// snapshot reads the files of a directory and returns how to bring them back,
// and nothing else.
func (w *World) snapshot(dir string) (restore func()) {
	if dir == "" {
		return func() {}
	}
	files := make(map[string][]byte)
	list, err := os.ReadDir(dir)
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			w.tb.Fatal(err)
		}
		files[f.Name()] = b
	}
	if err != nil {
		w.tb.Fatal(err)
	}
	return func() {
		list, err := os.ReadDir(dir)
		for _, f := range list {
			if _, had := files[f.Name()]; !had && err == nil {
				err = os.Remove(filepath.Join(dir, f.Name()))
			}
		}
		for name, b := range files {
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
			}
		}
		if err != nil {
			w.tb.Fatal(err)
		}
	}
}
