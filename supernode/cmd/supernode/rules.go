package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/durable"
	"hedgerow/internal/format"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/backup"
)

// rulesBytes bounds a file of rules.
const rulesBytes = 16 << 20

// rulesChoice says where the rules are that decide who may register.
type rulesChoice struct {
	File        string         // of rules; empty: none
	Communities string         // n2n's list; empty: none
	Mode        admission.Mode // what the files do not say
}

// rulesFlags are the options that choose it.
func rulesFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "rules", Usage: "read from `FILE` who may register; see docs/supernode.md"},
		&ucli.StringFlag{Name: "mode", Usage: "`MODE` for whom no rule names: open or closed; default: open"},
		&ucli.StringFlag{Name: "c", Aliases: []string{"communities"}, Usage: "serve the communities in `FILE` alone, which is n2n's community.list"},
	}
}

// parseRules reads --rules, --mode and -c.
func (cmd *command) parseRules(c *ucli.Context, faults *cli.Faults) rulesChoice {
	o := rulesChoice{
		File:        cmd.place.Option(c, "rules", "SUPERNODE_RULES"),
		Communities: cmd.place.Option(c, "c", "SUPERNODE_COMMUNITIES"),
	}
	if s := cmd.place.Option(c, "mode", "SUPERNODE_MODE"); s != "" {
		var err error
		if o.Mode, err = admission.ParseMode(s); err != nil {
			faults.Addf("--mode: %w", err)
		}
	}
	return o
}

// ruleBook keeps the rules: those of the operator's files, which are only read, and behind
// them those that were made by commands, which are kept in a file of the state directory.
type ruleBook struct {
	choice rulesChoice
	path   string // of the changes
	log    *slog.Logger
	now    func() time.Time

	changing sync.Mutex // held across a change, until it holds everywhere

	mu      sync.Mutex // guards what follows, and is held across no wait but for the disk
	base    []admission.List
	changes admission.List
	rules   *admission.Rules
	unread  []string // what the files say and is not done
	failure string   // why they were not read again; empty: they were
	damaged string   // what is wrong with the changes of before; empty: nothing
	aside   string   // the file that has them; empty: there is none
}

// openRules reads the rules of the start. What is wrong with the operator's files is an
// error; what is wrong with the changes is said and lost.
func openRules(choice rulesChoice, dir string, log *slog.Logger) (*ruleBook, error) {
	b := &ruleBook{choice: choice, path: filepath.Join(dir, backup.RulesFile), log: log, now: time.Now}
	if err := b.readChanges(); err != nil {
		return nil, cli.Failed(err, "Choose another place with --state-dir DIR.")
	}
	if err := b.read(); err != nil {
		return nil, cli.Errorf(cli.Usage, "", "%w", err)
	}
	for _, note := range b.unread {
		log.Warn(note)
	}
	return b, nil
}

// readChanges reads the rules that commands have made.
func (b *ruleBook) readChanges() error {
	text, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if b.changes, err = admission.Parse(text); err == nil {
		return nil
	}
	var lost int
	b.changes, lost = admission.Salvage(text)
	b.aside = durable.AsidePath(b.path, b.now())
	b.damaged = fmt.Sprintf("%d lines of the rules that commands have made could not be read at the start, and do not hold: they are in %s. Give those commands again, and remove the file.", lost, b.aside)
	b.log.Warn("the rules that commands have made are damaged", "file", b.path, "damage", err, "lines", lost, "kept", b.aside)
	return errors.Join(os.Rename(b.path, b.aside), durable.Replace(b.path, b.changes.Text(), 0o600))
}

// read reads the operator's files and makes the rules that follow. After an error all is
// as before.
func (b *ruleBook) read() error {
	var base []admission.List
	var unread []string
	if path := b.choice.Communities; path != "" {
		text, err := readRules(path)
		if err != nil {
			return err
		}
		list, notes, err := admission.ParseCommunityList(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, note := range notes {
			unread = append(unread, path+", "+note)
		}
		base = append(base, list)
	}
	if path := b.choice.File; path != "" {
		text, err := readRules(path)
		if err != nil {
			return err
		}
		list, err := admission.Parse(text)
		if err != nil {
			return fmt.Errorf("%s, %w", path, err)
		}
		base = append(base, list)
	}
	base = append(base, admission.List{Mode: b.choice.Mode})
	rules, err := admission.NewRules(append(base[:len(base):len(base)], b.changes)...)
	if err != nil {
		return err
	}
	b.base, b.unread, b.rules = base, unread, rules
	return nil
}

// readAgain reads the operator's files while they are in use, and returns the rules that
// follow and what is not done of them.
func (b *ruleBook) readAgain() (rules *admission.Rules, unread []string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failure = ""
	if err := b.read(); err != nil {
		b.failure = fmt.Sprintf("the rules were not read again, and the old ones hold: %v. Mend the file and type 'supernode reload'.", err)
		return nil, nil, err
	}
	return b.rules, b.unread, nil
}

// readRules reads a file of rules.
func readRules(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err == nil && st.Size() > rulesBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, rulesBytes)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// add makes a change that a command has asked for: on disk first, then here.
func (b *ruleBook) add(r admission.Rule) error {
	changes := b.changes.With(r, b.base...)
	rules, err := admission.NewRules(append(b.base[:len(b.base):len(b.base)], changes)...)
	if err != nil {
		return err
	}
	if text := changes.Text(); !bytes.Equal(text, b.changes.Text()) {
		if err := durable.Replace(b.path, text, 0o600); err != nil {
			return fmt.Errorf("the change does not hold, since it cannot be kept: %w", err)
		}
	}
	b.changes, b.rules = changes, rules
	return nil
}

// content returns the rules that commands have made, as they are kept.
func (b *ruleBook) content() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changes.Text()
}

// notes are the sentences about the rules for status and health. It takes the mutex.
func (b *ruleBook) notes() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	damaged := b.damaged
	if !durable.IsAside(b.aside) { // the operator has seen it
		damaged = ""
	}
	for _, note := range append([]string{b.failure, damaged}, b.unread...) {
		if note != "" {
			list = append(list, note)
		}
	}
	return list
}

// governed is a supernode with its rules: what the control socket shows and changes.
type governed struct {
	*supernode.Server
	book *ruleBook
	invitations
}

// Status is that of the supernode, with the notes about its rules.
func (g governed) Status() admin.Status {
	st := g.Server.Status()
	st.Notes = append(st.Notes, g.book.notes()...)
	return st
}

// Rules returns the rules that hold.
func (g governed) Rules() admin.Rules {
	notes := g.book.notes()
	g.book.mu.Lock()
	defer g.book.mu.Unlock()
	doc := admin.Rules{Mode: g.book.rules.Mode().String(), Rules: []string{}, Notes: append([]string{}, notes...)}
	for _, r := range g.book.rules.List() {
		doc.Rules = append(doc.Rules, r.Shown())
	}
	return doc
}

// Change does what the words of a command say.
func (g governed) Change(ctx context.Context, words []string) (done admin.Changed, err error) {
	done.Notes = []string{}
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	if len(words) > 0 && words[0] == kickWord {
		id, err := admission.ParseKick(words)
		if err != nil {
			return done, err
		}
		done.Done = fmt.Sprintf("%s edge %s for %v", kickWord, id, admission.KickTime)
		done.Ended, err = g.Kick(ctx, id)
		return later(done, err)
	}
	r, err := admission.ParseRule(words)
	if err != nil {
		return done, err
	}
	g.book.changing.Lock()
	defer g.book.changing.Unlock()
	if r.Verb == admission.Ban && r.Since.IsZero() {
		r.Since = g.book.now().UTC().Truncate(time.Second)
	}
	g.book.mu.Lock()
	err = g.book.add(r)
	rules := g.book.rules
	g.book.mu.Unlock()
	if err != nil {
		return done, err
	}
	if r.Verb == admission.Unban && r.Kind == admission.Edge {
		g.Pardon(r.Subject)
	}
	g.book.log.Info("the rules have changed", "rule", r.Shown())
	done.Done = r.Shown()
	done.Ended, err = g.SetRules(ctx, rules)
	return later(done, err)
}

// changeWait is for how long an answer waits for the registrations that a change ends.
const changeWait = 5 * time.Second

// later returns what a change has led to, with a note if that goes on.
func later(done admin.Changed, err error) (admin.Changed, error) {
	if errors.Is(err, context.DeadlineExceeded) {
		done.Notes, err = append(done.Notes, "it holds, and more registrations are being ended"), nil
	}
	return done, err
}

// Reload reads the files again.
func (g governed) Reload(ctx context.Context) (done admin.Changed, err error) {
	b := g.book
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	b.changing.Lock()
	defer b.changing.Unlock()
	rules, unread, err := b.readAgain()
	if err != nil {
		b.log.Error("the rules were not read again, and the old ones hold", "err", err)
		return done, err
	}
	done.Done = fmt.Sprintf("%s, %s", rules.Mode(), format.Count(rules.Len(), "rule"))
	done.Notes = append([]string{}, unread...)
	b.log.Info("the rules were read again", "mode", rules.Mode().String(), "rules", rules.Len())
	done.Ended, err = g.SetRules(ctx, rules)
	return later(done, err)
}

// watchSignals reads the files again at each SIGHUP, until ctx ends.
func (g governed) watchSignals(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	notifyReload(signals)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			_, _ = g.Reload(ctx) // the log says how that went
		}
	}
}

// kickWord is the command that makes no rule.
const kickWord = "kick"

// ruleVerbs are the commands that change who may register, with what each does.
var ruleVerbs = []struct{ name, usage, args string }{
	{"allow", "serve a community, by name or id, or an edge or a user whatever the community is", "community NAME | id ID | edge ID | user NAME HASH [label TEXT]"},
	{"deny", "serve a community no more, or take back that an edge or a user is allowed", "community NAME | id ID | edge ID | user NAME"},
	{"ban", "keep an edge or a network away", "edge ID | source NETWORK [label TEXT]"},
	{"unban", "let an edge or a network come again", "edge ID | source NETWORK"},
	{kickWord, "end the sessions of an edge, and keep it away for a minute", "edge ID"},
}

// ruleFlags are the options of a command that changes the rules. Its words are one of
// them: see cli.ArgumentsOption.
func ruleFlags() []ucli.Flag {
	return []ucli.Flag{cli.JSONFlag(), cli.ControlFlag(""), &ucli.StringSliceFlag{Name: "word", Hidden: true}}
}

// ruleCommands are the commands that show and change who may register.
func (cmd *command) ruleCommands() []*ucli.Command {
	list := []*ucli.Command{
		passwordCommand(cmd.streams),
		{Name: "rules", Usage: "show who may register", Flags: []ucli.Flag{cli.JSONFlag(), cli.ControlFlag("")}, Action: cmd.rules},
		{Name: "reload", Usage: "read the files of --rules and -c again", Flags: []ucli.Flag{cli.JSONFlag(), cli.ControlFlag("")}, Action: func(c *ucli.Context) error {
			return cmd.changeRules(c, func(ctx context.Context, s admin.Socket) (admin.Changed, error) { return s.Reload(ctx) })
		}},
	}
	for _, v := range ruleVerbs {
		list = append(list, &ucli.Command{Name: v.name, Usage: v.usage, ArgsUsage: v.args, Flags: ruleFlags(), Action: func(c *ucli.Context) error {
			words := append([]string{v.name}, cli.Strings(c, "word")...)
			if err := checkWords(words); err != nil {
				return cli.Errorf(cli.Usage, "", "%w", err)
			}
			return cmd.changeRules(c, func(ctx context.Context, s admin.Socket) (admin.Changed, error) { return s.Change(ctx, words) })
		}})
	}
	return list
}

// checkWords says what is wrong with the words of a command, before anybody is asked.
func checkWords(words []string) error {
	var err error
	if words[0] == kickWord {
		_, err = admission.ParseKick(words)
	} else {
		_, err = admission.ParseRule(words)
	}
	return err
}

// changeRules asks the running supernode for a change and prints what it has led to.
func (cmd *command) changeRules(c *ucli.Context, ask func(context.Context, admin.Socket) (admin.Changed, error)) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	done, err := ask(c.Context, admin.Socket(path))
	if err != nil {
		return cli.CallError(program, path, err)
	}
	if cli.Bool(c, "json") {
		return cli.PrintJSON(cmd.streams.Out, done)
	}
	lines := append([]string{fmt.Sprintf("%s; registrations ended: %d", done.Done, done.Ended)}, done.Notes...)
	_, err = fmt.Fprintln(cmd.streams.Out, strings.Join(lines, "\n"))
	return err
}

// rules is "supernode rules [--json]".
func (cmd *command) rules(c *ucli.Context) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	doc, err := admin.Socket(path).Rules(c.Context)
	if err != nil {
		return cli.CallError(program, path, err)
	}
	if cli.Bool(c, "json") {
		return cli.PrintJSON(cmd.streams.Out, doc)
	}
	lines := append([]string{"mode " + cmp.Or(doc.Mode, "open")}, doc.Rules...)
	for _, note := range doc.Notes {
		lines = append(lines, "# "+note)
	}
	_, err = fmt.Fprintln(cmd.streams.Out, strings.Join(lines, "\n"))
	return err
}
