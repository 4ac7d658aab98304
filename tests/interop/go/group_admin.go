package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type groupRequest struct {
	Op         string   `json:"op"`
	Group      string   `json:"group"`
	Groups     []string `json:"groups"`
	States     []string `json:"states"`
	Types      []string `json:"types"`
	Kind       string   `json:"kind"`
	Offsets    [][]any  `json:"offsets"`
	Partitions [][]any  `json:"partitions"`
	Instances  []string `json:"instances"`
}

// The protocol's code of an error; what is not of the protocol has none.
func codeOf(err error) (int16, error) {
	var known *kerr.Error
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &known):
		return known.Code, nil
	}
	return 0, err
}

func topicRows(set kadm.TopicsSet) [][]any {
	rows := [][]any{}
	for t, ps := range set {
		for p := range ps {
			rows = append(rows, []any{t, p})
		}
	}
	return rows
}

func describeClassic(ctx context.Context, adm *kadm.Client, groups []string) (map[string]any, error) {
	described, err := adm.DescribeGroups(ctx, groups...)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for name, g := range described {
		code, err := codeOf(g.Err)
		if err != nil {
			return nil, err
		}
		members := [][]any{}
		for _, m := range g.Members {
			set := kadm.TopicsSet{}
			if assigned, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range assigned.Topics {
					set.Add(t.Topic, t.Partitions...)
				}
			}
			members = append(members, []any{m.ClientID, m.InstanceID, topicRows(set)})
		}
		out[name] = map[string]any{"code": code, "state": g.State, "assignor": g.Protocol, "members": members}
	}
	return out, nil
}

func describeConsumer(ctx context.Context, adm *kadm.Client, groups []string) (map[string]any, error) {
	described, err := adm.DescribeConsumerGroups(ctx, groups...)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for name, g := range described {
		code, err := codeOf(g.Err)
		if err != nil {
			return nil, err
		}
		members := [][]any{}
		for _, m := range g.Members {
			members = append(members, []any{m.ClientID, m.InstanceID, topicRows(m.Assignment)})
		}
		out[name] = map[string]any{"code": code, "state": g.State, "assignor": g.AssignorName, "members": members}
	}
	return out, nil
}

func listGroups(ctx context.Context, adm *kadm.Client, q groupRequest) (any, error) {
	listed, err := adm.ListGroupsByType(ctx, q.Types, q.States...)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for name, g := range listed {
		out[name] = []any{g.State, nil}
	}
	return out, nil
}

func groupOffsets(ctx context.Context, adm *kadm.Client, group string) (any, error) {
	fetched, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	rows := [][]any{}
	fetched.Each(func(r kadm.OffsetResponse) {
		rows = append(rows, []any{r.Topic, r.Partition, r.At, r.Metadata})
	})
	return rows, fetched.Error()
}

func alterOffsets(ctx context.Context, adm *kadm.Client, q groupRequest) (any, error) {
	var offsets kadm.Offsets
	for _, row := range q.Offsets {
		offsets.Add(kadm.Offset{Topic: row[0].(string), Partition: int32(row[1].(float64)), At: int64(row[2].(float64)), LeaderEpoch: -1, Metadata: row[3].(string)})
	}
	committed, err := adm.CommitOffsets(ctx, q.Group, offsets)
	if err != nil {
		return nil, err
	}
	rows := [][]any{}
	for _, r := range committed.Sorted() {
		code, err := codeOf(r.Err)
		if err != nil {
			return nil, err
		}
		rows = append(rows, []any{r.Topic, r.Partition, code})
	}
	return rows, nil
}

func deleteOffsets(ctx context.Context, adm *kadm.Client, q groupRequest) (any, error) {
	var set kadm.TopicsSet
	for _, row := range q.Partitions {
		set.Add(row[0].(string), int32(row[1].(float64)))
	}
	deleted, err := adm.DeleteOffsets(ctx, q.Group, set)
	whole, err := codeOf(err)
	if err != nil {
		return nil, err
	}
	rows := [][]any{}
	for t, ps := range set {
		for p := range ps {
			code := whole
			if whole == 0 {
				if code, err = codeOf(deleted[t][p]); err != nil {
					return nil, err
				}
			}
			rows = append(rows, []any{t, p, code})
		}
	}
	return rows, nil
}

func deleteGroups(ctx context.Context, adm *kadm.Client, groups []string) (any, error) {
	deleted, err := adm.DeleteGroups(ctx, groups...)
	if err != nil {
		return nil, err
	}
	out := map[string]int16{}
	for name, r := range deleted {
		if out[name], err = codeOf(r.Err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func removeMembers(ctx context.Context, adm *kadm.Client, q groupRequest) (any, error) {
	left, err := adm.LeaveGroup(ctx, kadm.LeaveGroup(q.Group).InstanceIDs(q.Instances...))
	if err != nil {
		return nil, err
	}
	out := map[string]int16{}
	for name, r := range left {
		if out[name], err = codeOf(r.Err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func answerGroups(adm *kadm.Client, q groupRequest) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch q.Op {
	case "groups":
		return listGroups(ctx, adm, q)
	case "describe":
		if q.Kind == "consumer" {
			return describeConsumer(ctx, adm, q.Groups)
		}
		return describeClassic(ctx, adm, q.Groups)
	case "offsets":
		return groupOffsets(ctx, adm, q.Group)
	case "alter":
		return alterOffsets(ctx, adm, q)
	case "delete_offsets":
		return deleteOffsets(ctx, adm, q)
	case "delete_groups":
		return deleteGroups(ctx, adm, q.Groups)
	case "remove_members":
		return removeMembers(ctx, adm, q)
	}
	return nil, fmt.Errorf("no such op: %s", q.Op)
}

// The group calls of kadm behind lines of JSON, as those of the driver in main.go.
func runGroupAdmin(bootstrap string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		panic(err)
	}
	adm := kadm.NewClient(cl)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	replies := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q groupRequest
		reply := map[string]any{}
		err := json.Unmarshal(lines.Bytes(), &q)
		if err == nil {
			reply["ok"], err = answerGroups(adm, q)
		}
		if err != nil {
			reply = map[string]any{"error": err.Error()}
		}
		if err := replies.Encode(reply); err != nil {
			panic(err)
		}
	}
}
