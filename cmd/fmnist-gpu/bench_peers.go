package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/bench"
)

// peer is a configuration of a program that --against names.
type peer struct {
	Name string `json:"name"`
	bench.Summary
	Ratio float64 `json:"ratio"` // ours / theirs, of the images per second
}

// peerProgram is a program that --against names. It runs from its first turn on.
type peerProgram struct {
	command string
	cmd     *exec.Cmd // nil if it does not run
	stdin   io.WriteCloser
	stdout  *bufio.Scanner
	asked   bool     // since it was started
	names   []string // of its configurations, in the order of its first answer
	rounds  map[string][]bench.Round
}

// alternate runs our rounds and those of the other programs in turn.
func alternate(c *cobra.Command, s *bench.Session, rounds int, against []string) (ours []bench.Round, programs []*peerProgram, err error) {
	for _, command := range against {
		p := &peerProgram{command: command, rounds: map[string][]bench.Round{}}
		defer p.close()
		programs = append(programs, p)
	}
	for range rounds {
		if err := c.Context().Err(); err != nil {
			return nil, nil, err
		}
		round, err := s.Round()
		if err != nil {
			return nil, nil, err
		}
		ours = append(ours, round)
		for _, p := range programs {
			if err := p.measure(c); err != nil {
				p.kill() // nothing more is expected of it
				return nil, nil, fmt.Errorf("--against %q %w", p.command, err)
			}
		}
	}
	return ours, programs, nil
}

// measure adds a round of each of the program's configurations. A program that ends
// after an answer is started again.
func (p *peerProgram) measure(c *cobra.Command) error {
	if p.cmd == nil {
		if err := p.start(c); err != nil {
			return err
		}
	}
	first := !p.asked
	p.asked = true
	fmt.Fprintln(p.stdin) // fails if the program has ended, as does reading its answer
	answers, ended, err := p.read()
	if err == nil && ended {
		err = p.close()
	}
	switch {
	case c.Context().Err() != nil: // the program was killed
		return c.Context().Err()
	case err != nil:
		return err
	case answers == 0 && ended && !first:
		return p.measure(c)
	case answers == 0:
		return errors.New("gave no answer")
	}
	return nil
}

// read reads a program's answer, up to an empty line or its end, and returns the
// number of configurations.
func (p *peerProgram) read() (answers int, ended bool, err error) {
	for p.stdout.Scan() {
		if p.stdout.Text() == "" {
			return answers, false, nil
		}
		var line struct {
			Name string
			bench.Round
		}
		if err := json.Unmarshal(p.stdout.Bytes(), &line); err != nil || !(line.ImagesPerSecond > 0) {
			return answers, false, fmt.Errorf("printed %.200q, %s", p.stdout.Text(), wantedLine)
		}
		if p.rounds[line.Name] == nil {
			p.names = append(p.names, line.Name)
		}
		p.rounds[line.Name] = append(p.rounds[line.Name], line.Round)
		answers++
	}
	if errors.Is(p.stdout.Err(), bufio.ErrTooLong) {
		return answers, false, fmt.Errorf("printed more than %s without an end of line, %s", humanize.IBytes(bufio.MaxScanTokenSize), wantedLine)
	}
	return answers, true, p.stdout.Err()
}

// wantedLine says what a program is to answer.
const wantedLine = `want a line such as {"name": "x", "images_per_second": 1}`

// start starts the program.
func (p *peerProgram) start(c *cobra.Command) (err error) {
	words := strings.Fields(p.command)
	if _, err := exec.LookPath(p.command); err == nil { // a path with spaces
		words = []string{p.command}
	}
	cmd := exec.CommandContext(c.Context(), words[0], words[1:]...)
	isolate(cmd)
	cmd.Stderr = c.ErrOrStderr()
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("does not start: %w", err)
	}
	p.cmd, p.stdout, p.asked = cmd, bufio.NewScanner(stdout), false
	return nil
}

// close lets the program end, or ends it if it takes long.
func (p *peerProgram) close() error {
	if p.cmd == nil {
		return nil
	}
	cmd := p.cmd
	p.cmd = nil
	p.stdin.Close()
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Cancel() })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("failed: %w", err)
	}
	return nil
}

// kill ends the program at once.
func (p *peerProgram) kill() {
	if p.cmd != nil {
		_ = p.cmd.Cancel() // fails if it has ended
	}
}

// comparePeers compares our result with those of the other programs.
func comparePeers(r bench.Result, programs []*peerProgram) []peer {
	peers := []peer{} // in JSON a list even without any
	for _, p := range programs {
		for _, name := range p.names {
			s := bench.Summarise(p.rounds[name])
			peers = append(peers, peer{name, s, r.ImagesPerSecond / s.ImagesPerSecond})
		}
	}
	return peers
}

// printPeers writes the rows of a table, with latencies if any program told them.
func printPeers(w io.Writer, peers []peer) {
	if len(peers) == 0 {
		return
	}
	latency := slices.ContainsFunc(peers, func(p peer) bool { return p.Latency != nil })
	fmt.Fprint(w, "\nAGAINST\tIMAGES/S\tROUNDS\tOURS / THEIRS")
	if latency {
		fmt.Fprint(w, "\tMEDIAN MS\t99 % MS")
	}
	fmt.Fprintln(w)
	for _, p := range peers {
		fmt.Fprintf(w, "%s\t%s\t%s to %s\t%.2f", p.Name, humanize.Comma(int64(p.ImagesPerSecond)),
			humanize.Comma(int64(slices.Min(p.Rounds))), humanize.Comma(int64(slices.Max(p.Rounds))), p.Ratio)
		if p.Latency != nil {
			fmt.Fprintf(w, "\t%.3f\t%.3f", p.Latency.Median, p.Latency.P99)
		}
		fmt.Fprintln(w)
	}
}
