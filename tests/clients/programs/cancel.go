// Submit, read and cancel a task with a client by openapi-generator.
package main

import (
	"context"
	"fmt"
	"os"

	"example/longrun"
)

func must[T any](value T, _ any, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	configuration := longrun.NewConfiguration()
	configuration.Servers = longrun.ServerConfigurations{{URL: os.Args[1]}}
	tasks := longrun.NewAPIClient(configuration).TasksAPI
	ctx := context.Background()

	submission := longrun.NewSubmission("sleep", map[string]interface{}{"seconds": 600})
	accepted := must(tasks.SubmitTask(ctx).Submission(*submission).Execute())
	task := must(tasks.GetTask(ctx, accepted.TaskId).Execute())
	cancelled := must(tasks.CancelTask(ctx, task.TaskId).Execute())
	fmt.Println(cancelled.Status)
}
