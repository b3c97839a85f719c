import java.util.Map;
import longrun.ApiClient;
import longrun.api.TasksApi;
import longrun.model.Submission;

/** Submit, read and cancel a task with a client by openapi-generator. */
public class Cancel {
    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient();
        client.updateBaseUri(arguments[0]);
        TasksApi tasks = new TasksApi(client);
        var submission = new Submission().taskType("sleep").input(Map.of("seconds", 600));
        var accepted = tasks.submitTask(submission, null, null, null);
        var task = tasks.getTask(accepted.getTaskId(), null, null, null, null);
        System.out.println(tasks.cancelTask(task.getTaskId(), null).getStatus());
    }
}
