package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type transaction struct {
	Values []string `json:"values"`
	Commit bool     `json:"commit"`
}

// transact runs transactions one after another; values go to partition 0, 1, 0, 1, ...
func (d driver) transact(ctx context.Context, q request) (any, error) {
	cl, err := d.client(kgo.TransactionalID(q.ID), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for _, one := range q.Work {
		if err := cl.BeginTransaction(); err != nil {
			return nil, err
		}
		var all []*kgo.Record
		for i, value := range one.Values {
			all = append(all, &kgo.Record{Topic: q.Topic, Partition: int32(i % 2), Value: []byte(value)})
		}
		if err := cl.ProduceSync(ctx, all...).FirstErr(); err != nil {
			return nil, err
		}
		if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(one.Commit)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// copyTopic copies NAME-in to NAME-out in the group NAME, one transaction a poll.
func (d driver) copyTopic(ctx context.Context, q request) (any, error) {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(d.bootstrap),
		kgo.TransactionalID(q.Name+"-copy"),
		kgo.ConsumerGroup(q.Name),
		kgo.ConsumeTopics(q.Name+"-in"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(200*time.Millisecond),
		kgo.RequireStableFetchOffsets(),
	)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	done := 0
	for done < q.Count {
		fetches := session.PollRecords(ctx, 20)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			return nil, err
		}
		promise := kgo.AbortingFirstErrPromise(session.Client())
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: q.Name + "-out", Value: r.Value}, promise.Promise())
		})
		committed, err := session.End(ctx, promise.Err() == nil)
		if err != nil {
			return nil, err
		}
		if !committed {
			return nil, fmt.Errorf("not committed after %d records", done)
		}
		done += fetches.NumRecords()
	}
	return nil, nil
}
