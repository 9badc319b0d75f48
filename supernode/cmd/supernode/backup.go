package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/durable"
	"hedgerow/internal/format"
	"hedgerow/internal/localapi"
	"hedgerow/internal/service"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/backup"
	"hedgerow/supernode/invites"
	"hedgerow/supernode/journal"
)

// fileOption is the hidden option of the file that a backup is written to, or read from.
const fileOption = "file"

// backupFlags are the options of "supernode backup".
func backupFlags() []ucli.Flag {
	return []ucli.Flag{
		passphraseFlag(),
		&ucli.BoolFlag{Name: "force", Usage: "write over a file that is there"},
		cli.JSONFlag(), cli.ControlFlag(""), stateDirFlag(),
		&ucli.StringFlag{Name: fileOption, Hidden: true},
	}
}

// restoreFlags are the options of "supernode restore".
func restoreFlags() []ucli.Flag {
	return []ucli.Flag{
		passphraseFlag(),
		&ucli.BoolFlag{Name: "force", Usage: "move the state that is there into a directory replaced-TIME beside it"},
		cli.JSONFlag(), stateDirFlag(),
		&ucli.StringFlag{Name: fileOption, Hidden: true},
	}
}

func passphraseFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "passphrase-file", Usage: "seal the backup with the passphrase in `FILE`, which only its owner may read"}
}

// keeper has the commands that copy what a supernode keeps, and put it back.
type keeper struct {
	streams cli.Streams
	place   cli.Place
	socket  func(*ucli.Context) (string, error) // finds that of the running supernode
}

// commands are they.
func (k keeper) commands() []*ucli.Command {
	return []*ucli.Command{
		{Name: "backup", Usage: "copy the key, the registrations, the invites and the rules of the supernode into a file", ArgsUsage: "FILE", Flags: backupFlags(), Action: k.backup},
		{Name: "restore", Usage: "put a backup into the state directory of a supernode that is stopped", ArgsUsage: "FILE", Flags: restoreFlags(), Action: k.restore},
	}
}

// backup is "supernode backup FILE".
func (k keeper) backup(c *ucli.Context) error {
	path, passphrase, err := backupFile(c, "backup")
	if err != nil {
		return err
	}
	force := cli.Bool(c, "force")
	if _, err := os.Lstat(path); err == nil && !force {
		return fileExists(path)
	}
	content, err := k.findContent(c)
	if err != nil {
		return err
	}
	b, err := content.Encode(passphrase)
	if err != nil {
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	if force {
		err = durable.Replace(path, b, 0o600)
	} else {
		err = durable.Create(path, b, 0o600)
	}
	if errors.Is(err, fs.ErrExist) {
		return fileExists(path)
	}
	if err != nil {
		return cli.Failed(err, "Name another FILE.")
	}
	sum, err := content.Summary()
	if err != nil {
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	sum.Sealed = len(passphrase) > 0
	if cli.Bool(c, "json") {
		return cli.PrintJSON(k.streams.Out, sum)
	}
	says := "Whoever has it can be this supernode to every edge, so keep it as you keep a key; --passphrase-file FILE seals it."
	if sum.Sealed {
		says = "It is of no use without the passphrase."
	}
	_, err = fmt.Fprintf(k.streams.Out, "%s holds the private key of supernode %s, %s. %s\n", path, sum.Key, holds(sum), says)
	return err
}

// holds says what there is in a backup besides the key.
func holds(s backup.Summary) string {
	return fmt.Sprintf("%s, %s and %s", format.Count(s.Registrations, "registration"), format.Count(s.Invites, "invite"), format.Count(s.Rules, "rule"))
}

func fileExists(path string) error {
	return cli.Errorf(cli.Failure, "", "%s is there already, and is left alone: name another FILE, or give --force.", path)
}

// backupFile reads FILE and --passphrase-file.
func backupFile(c *ucli.Context, name string) (path string, passphrase []byte, err error) {
	path, _ = cli.String(c, fileOption)
	if path == "" {
		return "", nil, cli.Errorf(cli.Usage, "", "which file? Type: supernode %s FILE", name)
	}
	from, given := cli.String(c, "passphrase-file")
	if !given {
		return path, nil, nil
	}
	text, err := crypto.ReadKeyFile(from)
	if err == nil && text == "" {
		err = fmt.Errorf("%s is empty", from)
	}
	if err != nil {
		return "", nil, cli.Errorf(cli.Usage, "", "--passphrase-file: %w", err)
	}
	return path, []byte(text), nil
}

// findContent asks the running supernode for a copy, or reads the state directory of one
// that is stopped.
func (k keeper) findContent(c *ucli.Context) (*backup.Content, error) {
	if _, given := cli.String(c, "state-dir"); !given {
		if path, err := k.socket(c); err == nil {
			b, err := admin.Socket(path).Backup(c.Context, backup.MaxFile)
			if err == nil {
				return decoded(b, nil, path)
			}
			if !errors.Is(err, localapi.ErrNotRunning) || k.place.Option(c, "control", "SUPERNODE_CONTROL") != "" {
				return nil, cli.CallError(k.place.Program, path, err)
			}
		}
	}
	dir, err := k.place.StateDirOption(c, "SUPERNODE_STATE_DIR")
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "", "%w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, supernode.IdentityFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Errorf(cli.Failure, "", "no supernode runs here, and %s has none that is stopped: name its directory with --state-dir DIR, or its socket with --control PATH.", dir)
	}
	lock, err := lockState(dir, "Name its socket with --control PATH.")
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	content, err := backup.Read(dir, time.Now(), cli.Release)
	if err != nil {
		return nil, service.StateError(err)
	}
	return content, nil
}

// restore is "supernode restore FILE".
func (k keeper) restore(c *ucli.Context) error {
	path, passphrase, err := backupFile(c, "restore")
	if err != nil {
		return err
	}
	dir, err := k.place.StateDirOption(c, "SUPERNODE_STATE_DIR")
	if err != nil {
		return cli.Errorf(cli.Usage, "", "%w", err)
	}
	b, err := readBackup(path)
	if err != nil {
		return cli.Failed(err, "Name the file that 'supernode backup' has written.")
	}
	content, err := decoded(b, passphrase, path)
	if err != nil {
		return err
	}
	lock, err := lockState(dir, "Stop it first.")
	if err != nil {
		return err
	}
	defer lock.Close()
	aside, err := content.Restore(dir, time.Now(), cli.Bool(c, "force"))
	if errors.Is(err, backup.ErrState) {
		return cli.Errorf(cli.Failure, "", "%w, which is left alone: give --force to have it moved into a directory beside it, or another place with --state-dir DIR.", err)
	}
	if err != nil {
		return service.StateError(err)
	}
	return k.tellRestored(c, content, backup.IsSealed(b), dir, aside)
}

// restored is what "supernode restore --json" prints.
type restored struct {
	backup.Summary
	StateDir string `json:"state_dir"`
	Aside    string `json:"aside,omitempty"` // where the state of before is
}

// tellRestored says what was restored.
func (k keeper) tellRestored(c *ucli.Context, content *backup.Content, sealed bool, dir, aside string) error {
	sum, err := content.Summary()
	if err != nil {
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	sum.Sealed = sealed
	if cli.Bool(c, "json") {
		return cli.PrintJSON(k.streams.Out, restored{Summary: sum, StateDir: dir, Aside: aside})
	}
	out := k.streams.Out
	fmt.Fprintf(out, "%s is supernode %s again, as of %s: %s.\n", dir, sum.Key, sum.Made.Local().Format(format.TimeLayout), holds(sum))
	if aside != "" {
		fmt.Fprintf(out, "The state of before is in %s.\n", aside)
	}
	_, err = fmt.Fprintln(out, "Start it. Edges come back by themselves with the addresses that they have, and newcomers wait a minute for them.")
	return err
}

// readBackup reads a file within its bound.
func readBackup(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err == nil && (!st.Mode().IsRegular() || st.Size() > backup.MaxFile) {
		err = fmt.Errorf("%s is no file, or larger than %d bytes", path, backup.MaxFile)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// decoded reads a backup, and says what to do about one that cannot be used.
func decoded(b, passphrase []byte, path string) (*backup.Content, error) {
	content, err := backup.Decode(b, passphrase)
	switch {
	case err == nil:
		return content, nil
	case errors.Is(err, backup.ErrSealed):
		return nil, cli.Errorf(cli.Usage, "", "%s: %w: give the passphrase with --passphrase-file FILE.", path, err)
	case errors.Is(err, backup.ErrNewer):
		return nil, cli.Errorf(cli.Failure, "", "%s: %w. Update it; nothing was changed.", path, err)
	}
	return nil, cli.Errorf(cli.Failure, "", "%s: %w. Nothing was changed.", path, err)
}

// copyOf returns what the control socket gives to whoever makes a backup: the file, not
// sealed. rules are those that commands have made.
func copyOf(ctx context.Context, s *supernode.Server, ledger *invites.Ledger, rules []byte) ([]byte, error) {
	if uid, known := localapi.Caller(ctx); known && uid != 0 && uid != os.Geteuid() {
		return nil, errors.New("only root and the user of the supernode may copy its private key")
	}
	c := backup.Content{Made: time.Now().UTC(), Release: cli.Release, Records: make(map[journal.Key][]byte)}
	c.Identity, c.Rotation = s.Secrets()
	for key, record := range s.Records() { // before the invites: each has its use in them
		c.Records[key] = record
	}
	c.ResetKeys, c.Rules, c.Quota = s.ResetKeys(), rules, s.Quota()
	var err error
	if c.Invites, err = ledger.Content(); err != nil {
		return nil, err
	}
	return c.Encode(nil)
}
