package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What one member of a group is told to be; see tests/interop/groups/events.py for what it says.
type memberSpec struct {
	Bootstrap   string   `json:"bootstrap"`
	Group       string   `json:"group"`
	Client      string   `json:"client"`
	Topics      []string `json:"topics"`
	Instance    *string  `json:"instance"`
	Protocol    string   `json:"protocol"`
	Assignor    string   `json:"assignor"`
	SessionMs   int      `json:"session_ms"`
	HeartbeatMs int      `json:"heartbeat_ms"`
	MaxPollMs   int      `json:"max_poll_ms"`
}

type member struct {
	lock sync.Mutex
	next map[string]map[int32]kgo.EpochOffset
}

func (m *member) say(event string, fields map[string]any) {
	if fields == nil {
		fields = map[string]any{}
	}
	fields["event"] = event
	m.lock.Lock()
	defer m.lock.Unlock()
	fields["t"] = float64(time.Now().UnixNano()) / 1e9
	line, _ := json.Marshal(fields)
	_, _ = os.Stdout.Write(append(line, '\n'))
}

func (m *member) sayPartitions(event string, topics map[string][]int32) {
	rows := [][]any{}
	for topic, partitions := range topics {
		for _, p := range partitions {
			rows = append(rows, []any{topic, p})
		}
	}
	m.say(event, map[string]any{"partitions": rows})
}

func (m *member) commit(ctx context.Context, cl *kgo.Client, only map[string][]int32) {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	rows := [][]any{}
	for topic, partitions := range only {
		for _, p := range partitions {
			if at, ok := m.next[topic][p]; ok {
				if offsets[topic] == nil {
					offsets[topic] = map[int32]kgo.EpochOffset{}
				}
				offsets[topic][p] = at
				rows = append(rows, []any{topic, p, at.Offset})
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	// A failed commit is told once, with the client's or the partition's error.
	var failed error
	cl.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, reply *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if err == nil {
			for _, t := range reply.Topics {
				for _, p := range t.Partitions {
					if failed == nil {
						failed = kerr.ErrorForCode(p.ErrorCode)
					}
				}
			}
		}
	})
	if failed != nil {
		m.say("commit_failed", map[string]any{"error": failed.Error()})
		return
	}
	m.say("committed", map[string]any{"offsets": rows})
}

func (m *member) forget(topics map[string][]int32) {
	for topic, partitions := range topics {
		for _, p := range partitions {
			delete(m.next[topic], p)
		}
	}
}

func (m *member) take(ctx context.Context, cl *kgo.Client, fetches kgo.Fetches) {
	seen := map[string][]int32{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		first, last := p.Records[0], p.Records[len(p.Records)-1]
		m.say("records", map[string]any{"topic": p.Topic, "partition": p.Partition, "first": first.Offset, "last": last.Offset, "count": len(p.Records)})
		if m.next[p.Topic] == nil {
			m.next[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		m.next[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		seen[p.Topic] = append(seen[p.Topic], p.Partition)
	})
	m.commit(ctx, cl, seen)
}

func (m *member) options(s memberSpec) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(s.Bootstrap), kgo.ConsumerGroup(s.Group), kgo.ClientID(s.Client),
		kgo.ConsumeTopics(s.Topics...), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.SessionTimeout(time.Duration(s.SessionMs) * time.Millisecond),
		kgo.HeartbeatInterval(time.Duration(s.HeartbeatMs) * time.Millisecond),
		kgo.RebalanceTimeout(time.Duration(s.MaxPollMs) * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			m.sayPartitions("assigned", topics)
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, topics map[string][]int32) {
			m.commit(ctx, cl, topics)
			m.forget(topics)
			m.sayPartitions("revoked", topics)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			m.forget(topics)
			m.sayPartitions("lost", topics)
		}),
	}
	if s.Instance != nil {
		opts = append(opts, kgo.InstanceID(*s.Instance))
	}
	balancers := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
		"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	if s.Protocol == "consumer" {
		// The server's assignor is named by the matching client-side one; uniform by the sticky one.
		if s.Assignor == "uniform" {
			s.Assignor = "sticky"
		}
		opts = append(opts, kgo.ServerSideBalancer())
	}
	return append(opts, kgo.Balancers(balancers[s.Assignor]))
}

func runMember(argument string) {
	var s memberSpec
	if err := json.Unmarshal([]byte(argument), &s); err != nil {
		panic(err)
	}
	m := &member{next: map[string]map[int32]kgo.EpochOffset{}}
	cl, err := kgo.NewClient(m.options(s)...)
	if err != nil {
		m.say("error", map[string]any{"error": err.Error()})
		os.Exit(1)
	}
	commands := make(chan string, 10)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			commands <- lines.Text()
		}
		commands <- "close"
	}()
	m.say("started", nil)
	for {
		nap := time.Duration(0)
		select {
		case command := <-commands:
			if command == "close" {
				cl.AllowRebalance()
				if s.Instance == nil {
					cl.LeaveGroup()
				}
				cl.CloseAllowingRebalance()
				m.say("closed", nil)
				return
			}
			if seconds, found := strings.CutPrefix(command, "sleep "); found {
				length, _ := strconv.ParseFloat(seconds, 64)
				nap = time.Duration(length * float64(time.Second))
			}
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		fetches := cl.PollRecords(ctx, 500)
		cancel()
		fetches.EachError(func(_ string, _ int32, err error) {
			if err != context.DeadlineExceeded {
				m.say("fetch_error", map[string]any{"error": err.Error()})
			}
		})
		if nap > 0 {
			// As an application that is long at work on a batch: rebalances wait for it.
			m.say("sleeping", nil)
			time.Sleep(nap)
			m.say("woke", nil)
		}
		if fetches.NumRecords() > 0 {
			m.take(context.Background(), cl, fetches)
		}
		cl.AllowRebalance()
	}
}
