// Package barrage plays very many hostile inputs to a program that lives on from one to
// the next, and says exactly which ones hurt it.
//
// A Stage is a program with hostile ends around it, in sessions: what they send
// authenticates. An input is bytes, a Tape, which the stage reads as a few moves. After
// each move the stage is checked, and now and then altogether. A stage is given up after
// some thousand moves for a new one, of the same kind and with another seed, so that no
// table grows for ever and that all that was ever done to it can be told: a Script is the
// seed and the inputs of one stage, a file that TestBarrage plays again (-script).
//
// There are two drivers of a Target. Fuzz is the fuzzer of the go command, guided by
// coverage. Run draws inputs with a generator of its own, from a seed and from what the
// guided one has found, and is several times as fast. Both count packets: those that
// authenticated and that the program acted on.
//
// What a move costs is processor time of this process. One that seems to take too long
// is a fault only if it does so whenever its script is played again: the collector of
// garbage, or a machine that stands still, does not come at the same move each time.
package barrage
