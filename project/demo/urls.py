"""URLs of the demo app."""

from django.urls import path

from project.demo import views

app_name = "demo"
urlpatterns = [
    path("", views.start, name="start"),
    path("deliver/", views.send_parcel, name="deliver"),
    path("convert/", views.convert, name="convert"),
    path("result/<uuid:task_id>/", views.result, name="result"),
    path("result/<uuid:task_id>/state/", views.state, name="state"),
]
