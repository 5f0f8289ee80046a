//go:build cgo

package vulkan

import (
	"errors"
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory"
)

// Program is a compiled plan with its device memory. It implements
// [kernels.Program].
type Program struct {
	backend  *Backend
	room     *hostmemory.Reservation // until Close
	layout   layout
	arenas   []*gpu.Buffer // of the layout, then scratch; nil if empty
	sections map[string]*section
}

var _ kernels.Program = (*Program)(nil)

// section is a recorded section.
type section struct {
	source     *kernels.Section
	dispatches []dispatch      // in the order of the ops
	commands   []*gpu.Commands // one after the other
}

var errClosed = errors.New("the program is closed")

func (p *Program) find(name string) (*section, error) {
	if p.sections == nil {
		return nil, errClosed
	}
	if s := p.sections[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("the program has no section %q", name)
}

// Run implements [kernels.Program].
func (p *Program) Run(name string, times int) error {
	s, err := p.find(name)
	if err != nil {
		return err
	}
	if err := p.runCommands(s.commands, times); err != nil {
		return fmt.Errorf("section %q: %w", name, err)
	}
	return nil
}

// runCommands runs the commands of a section the given number of times: many at once, if
// each time is one submission.
func (p *Program) runCommands(commands []*gpu.Commands, times int) error {
	if len(commands) == 1 || times < 1 {
		return p.backend.device.Run(commands[0], times)
	}
	for range times {
		for _, c := range commands {
			if err := p.backend.device.Run(c, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// view returns the span of a caller's tensor, or an error if the program is
// closed or the tensor does not have the given number of bytes.
func (p *Program) view(t kernels.Tensor, bytes int) (span, error) {
	if p.sections == nil {
		return span{}, errClosed
	}
	return p.layout.checked(t, bytes)
}

// Write implements [kernels.Program].
func (p *Program) Write(t kernels.Tensor, src []byte) error {
	s, err := p.view(t, len(src))
	if err != nil {
		return err
	}
	return p.backend.device.Upload(p.arenas[s.arena], s.offset, src)
}

// Read implements [kernels.Program].
func (p *Program) Read(t kernels.Tensor, dst []byte) error {
	s, err := p.view(t, len(dst))
	if err != nil {
		return err
	}
	return p.backend.device.Download(p.arenas[s.arena], s.offset, dst)
}

// MemoryBytes implements [kernels.Program]. It counts arenas and scratch.
func (p *Program) MemoryBytes() int {
	n := 0
	for _, a := range p.arenas {
		if a != nil {
			n += int(a.Size())
		}
	}
	return n
}

// Close implements [kernels.Program].
func (p *Program) Close() error {
	for _, s := range p.sections {
		for _, c := range s.commands {
			c.Close()
		}
	}
	for _, a := range p.arenas {
		if a != nil {
			a.Close()
		}
	}
	p.room.Close()
	p.sections, p.arenas = nil, nil
	return nil
}
