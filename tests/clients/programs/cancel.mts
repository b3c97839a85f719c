// Submit, read and cancel a task with the types of openapi-typescript.
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const accepted = await client.POST("/tasks", { body: { task_type: "sleep", input: { seconds: 600 } } });
if (!accepted.data) throw new Error(accepted.error.detail);
const path = { task_id: accepted.data.task_id };
const task = await client.GET("/tasks/{task_id}", { params: { path } });
if (!task.data) throw new Error(task.error.detail);
const cancelled = await client.DELETE("/tasks/{task_id}", { params: { path } });
if (!cancelled.data) throw new Error(cancelled.error.detail);
console.log(cancelled.data.status);
