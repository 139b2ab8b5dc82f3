/** Masks for every personal column of the sample shop. */
export const shopMasks = {
  'public.profiles.email': {mask: 'email'},
  'public.profiles.name': {mask: 'name'},
  'public.profiles.phone': {mask: 'phone'},
  'public.orders.email': {mask: 'email'},
  'public.orders.customerName': {mask: 'name'},
  'public.orders.phone': {mask: 'phone'},
  'public.orders.notes': {mask: 'text'},
  'public.email_alerts.recipientEmail': {mask: 'email'},
  'public.catering_orders.email': {mask: 'email'},
  'public.catering_orders.name': {mask: 'name'},
  'public.catering_orders.phone': {mask: 'phone'},
  'public.catering_orders.notes': {mask: 'text'},
  'public.catering_orders.specialRequests': {mask: 'text'},
  'public.catering_orders.deliveryAddress': {mask: 'address'},
  'public.catering_orders.delivery_address_json': {mask: 'null'},
  'public.customer_email_preferences.email': {mask: 'email'},
} as const;
